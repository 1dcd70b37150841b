"""Counts of lesions and their errors, by hand."""

import numpy as np
import pytest

from acnet.evaluation import count_by_image, count_errors
from acnet.evaluation.counting import bland_altman

ROWS = [
    {"image_id": 1, "score": 0.9},
    {"image_id": 1, "score": 0.5},
    {"image_id": 1, "score": 0.49},
    {"image_id": 3, "score": 0.7},
]


def test_threshold_is_inclusive_and_empty_images_count_0():
    assert count_by_image(ROWS, [1, 2, 3], score_threshold=0.5) == [2, 0, 1]


def test_order_is_that_of_the_images_and_other_images_are_ignored():
    assert count_by_image(ROWS, [3]) == [1]
    assert count_by_image(ROWS, [3, 1]) == [1, 3]


def test_annotations_have_no_score_and_all_count():
    assert count_by_image([{"image_id": 1}, {"image_id": 1}], [1], score_threshold=0.9) == [2]


def test_errors_by_hand():
    # Errors 2, -1, 2: absolute mean 5/3, mean square 9/3 = 3, mean 3/3 = 1.
    errors = count_errors([5, 0, 9], [3, 1, 7])
    assert errors == pytest.approx({"MAE": 5 / 3, "RMSE": 3**0.5, "bias": 1})


def test_perfect_counts_have_no_error():
    assert count_errors([4, 0], [4, 0]) == {"MAE": 0, "RMSE": 0, "bias": 0}


@pytest.mark.parametrize(("predicted", "true"), [([], []), ([1], [1, 2])])
def test_counts_must_pair_up(predicted, true):
    with pytest.raises(ValueError, match=f"Received {len(predicted)} predicted and {len(true)}"):
        count_errors(predicted, true)


def test_weights_are_repetitions():
    weighted = count_errors([5, 0, 9], [3, 1, 4], photo_weights=np.array([2, 0, 1]))
    assert weighted == pytest.approx(count_errors([5, 5, 9], [3, 3, 4]))


def test_bland_and_altman_by_hand():
    # Differences 2, -1, 2: mean 1, variance (1 + 4 + 1) / 2 = 3.
    agreement = bland_altman([5, 0, 9], [3, 1, 7])
    assert agreement.means.tolist() == [4, 0.5, 8]
    assert agreement.differences.tolist() == [2, -1, 2]
    assert agreement.bias == 1
    assert (agreement.low, agreement.high) == pytest.approx((1 - 1.96 * 3**0.5, 1 + 1.96 * 3**0.5))


def test_one_photo_has_no_limits_of_agreement():
    agreement = bland_altman([5], [3])
    assert (agreement.bias, agreement.low, agreement.high) == (2, None, None)


def test_no_photos_have_no_agreement():
    with pytest.raises(ValueError, match="at least one photo"):
        bland_altman([], [])
