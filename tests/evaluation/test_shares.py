"""Shares of photos with Wilson's interval."""

import numpy as np
import pytest

from acnet.evaluation.shares import conformal_rank, conformal_share_range, share


def test_wilson_s_interval_by_hand():
    # 8 of 10, z = 1.959964: centre (0.8 + z^2/20) / (1 + z^2/10) = 0.716740,
    # half width z / (1 + z^2/10) * sqrt(0.8 * 0.2 / 10 + z^2/400) = 0.226578
    found = share(8, 10)
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((0.490162, 0.943318), abs=2e-6)


def test_the_ends_are_exact_and_no_interval_is_empty():
    none, all_of_them = share(0, 20), share(20, 20)
    assert none.low == 0
    assert all_of_them.high == 1
    # At 0 hits Wilson's upper end is z^2 / (n + z^2).
    assert none.high == pytest.approx(3.841459 / (20 + 3.841459), abs=1e-6)
    assert all_of_them.low == pytest.approx(1 - none.high)


def test_more_photos_or_a_lower_level_narrow_it():
    def width(found):
        return found.high - found.low

    assert width(share(90, 100)) > width(share(900, 1000))
    assert width(share(90, 100)) > width(share(90, 100, level=0.8))


@pytest.mark.parametrize(("hits", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_nonsense_is_refused(hits, total):
    with pytest.raises(ValueError, match=f"Received {hits} hits of {total}"):
        share(hits, total)


def test_one_calibration_photo_and_one_new_one_by_hand():
    # With one error as the quantile (rank 1 of 1) the next is at most that with probability 1/2,
    # so of one new photo both 0 and 1 are to be expected; at a level of 40 % still.
    assert conformal_share_range(1, 0.5, 1) == (0, 1)
    assert conformal_share_range(1, 0.5, 1, level=0.4) == (0, 1)


@pytest.mark.parametrize(("calibration", "photos"), [(9, 40), (50, 7), (30, 30)])
def test_the_range_is_that_of_simulated_errors(calibration, photos):
    rng = np.random.default_rng(0)
    rank = conformal_rank(calibration, 0.9)
    errors = rng.uniform(size=(20_000, calibration + photos))
    quantiles = np.sort(errors[:, :calibration], axis=1)[:, rank - 1 : rank]
    hits = (errors[:, calibration:] <= quantiles).sum(axis=1)
    low, high = conformal_share_range(calibration, 0.9, photos)
    assert round(low * photos) == pytest.approx(np.quantile(hits, 0.025), abs=1)
    assert round(high * photos) == np.quantile(hits, 0.975)


def test_many_photos_leave_the_range_of_the_calibration():
    # Beta(46, 5): mean 46/51, standard deviation sqrt(0.902 * 0.098 / 52) = 0.041.
    low, high = conformal_share_range(50, 0.9, 20_000)
    assert (high - low) / 4 == pytest.approx(0.041, abs=0.002)
    assert low < 46 / 51 < high
