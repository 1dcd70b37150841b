"""Shares of photos with Wilson's interval."""

import pytest

from acnet.evaluation.shares import share


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
