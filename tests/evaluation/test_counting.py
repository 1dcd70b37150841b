"""Errors of counts, and grades that follow from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnet.evaluation.counting import (
    bland_altman,
    count_by_image,
    count_errors,
    grade_counts,
    grade_measures,
    grades_of,
    hayashi_grade,
    per_grade_measures,
)


def test_threshold_is_inclusive_and_empty_images_count_0():
    scores = [(1, 0.9), (1, 0.5), (1, 0.49), (3, 0.7)]
    rows = [{"image_id": image_id, "score": score} for image_id, score in scores]
    assert count_by_image(rows, [1, 2, 3], score_threshold=0.5) == [2, 0, 1]
    assert count_by_image(rows, [3, 1]) == [1, 3]  # in the order of the images, and of them alone
    # Annotations have no score, and all count.
    assert count_by_image([{"image_id": 1}, {"image_id": 1}], [1], score_threshold=0.9) == [2]


@pytest.mark.parametrize("pair", [count_errors, grade_counts, bland_altman])
def test_counts_must_pair_up(pair):
    for one, other in (([], []), ([1], [1, 2])):
        with pytest.raises(ValueError, match=r"Received [012] predicted and [012] true counts"):
            pair(one, other)


def test_errors_and_bland_and_altman_by_hand():
    # Errors 2, -1, 2: absolute mean 5/3, mean square 9/3 = 3, mean 3/3 = 1.
    errors = count_errors([5, 0, 9], [3, 1, 7])
    assert errors == pytest.approx({"MAE": 5 / 3, "RMSE": 3**0.5, "bias": 1})
    # Of the same differences the variance is (1 + 4 + 1) / 2 = 3.
    agreement = bland_altman([5, 0, 9], [3, 1, 7])
    assert agreement.means.tolist() == [4, 0.5, 8]
    assert agreement.differences.tolist() == [2, -1, 2]
    assert agreement.bias == 1
    assert (agreement.low, agreement.high) == pytest.approx((1 - 1.96 * 3**0.5, 1 + 1.96 * 3**0.5))
    one_photo = bland_altman([5], [3])
    assert (one_photo.bias, one_photo.low, one_photo.high) == (2, None, None)


# Rows are true grades. 10 photos: 4 mild (3 right, 1 called moderate), 3 moderate (2 right, 1
# called severe), 2 severe (1 right, 1 called very severe), 1 very severe (right).
TABLE = np.array([[3, 1, 0, 0], [0, 2, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]])


def test_measures_of_a_table_by_hand():
    # accuracy     (3 + 2 + 1 + 1) / 10
    # precision    predicted 3, 3, 2, 2: 3/3, 2/3, 1/2, 1/2
    # sensitivity  true 4, 3, 2, 1: 3/4, 2/3, 1/2, 1/1
    # specificity  others 6, 7, 8, 9, of which 0, 1, 1, 1 are called so: 6/6, 6/7, 7/8, 8/9
    precision = (1 + 2 / 3 + 1 / 2 + 1 / 2) / 4
    sensitivity = (3 / 4 + 2 / 3 + 1 / 2 + 1) / 4
    specificity = (1 + 6 / 7 + 7 / 8 + 8 / 9) / 4
    # kappa: three photos are one grade off, so observed is 3 / 10. By chance, true 4, 3, 2, 1 and
    # predicted 3, 3, 2, 2 differ by (k - l)^2 summed over 100 pairs:
    #   true 0: 4 * (0*3 + 1*3 + 4*2 + 9*2) = 116    true 1: 3 * (1*3 + 0 + 1*2 + 4*2) = 39
    #   true 2: 2 * (4*3 + 1*3 + 0 + 1*2) = 34       true 3: 1 * (9*3 + 4*3 + 1*2 + 0) = 41
    # sum 230, so expected is 2.3.
    assert grade_measures(TABLE) == pytest.approx(
        {
            "accuracy": 70,
            "precision": 100 * precision,
            "sensitivity": 100 * sensitivity,
            "specificity": 100 * specificity,
            "Youden": 100 * (sensitivity + specificity - 1),
            "quadratic kappa": 1 - 0.3 / 2.3,
        }
    )
    per_grade = per_grade_measures(TABLE)
    assert per_grade["precision"] == pytest.approx([100, 200 / 3, 50, 50])
    assert per_grade["sensitivity"] == pytest.approx([75, 200 / 3, 50, 100])
    assert per_grade["specificity"] == pytest.approx([100, 600 / 7, 87.5, 800 / 9])
    assert per_grade["Youden"][0] == pytest.approx(75)


def test_perfect_grades_are_100_and_kappa_1():
    measures = grade_measures(np.diag([5, 3, 2, 1]))
    assert measures == {**dict.fromkeys(measures, 100), "quadratic kappa": 1}
    turned_round = grade_measures(np.fliplr(np.eye(4, dtype=int)))
    assert turned_round["quadratic kappa"] == pytest.approx(-1)


def test_a_grade_that_no_photo_has_is_left_out_of_the_means():
    # Two mild, one of them called very severe, and two moderate: means over mild and moderate.
    table = np.array([[1, 0, 0, 1], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    measures = grade_measures(table)
    assert measures["precision"] == 100
    assert measures["sensitivity"] == pytest.approx((50 + 100) / 2)
    assert measures["specificity"] == 100
    per_grade = per_grade_measures(table)
    assert per_grade["sensitivity"][2:] == [None, None]
    assert per_grade["precision"][2:] == [None, 0]  # nothing called severe; the one call was wrong
    assert per_grade["specificity"][3] == 75
    # A grade that is never predicted has precision 0.
    never = np.array([[2, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert per_grade_measures(never)["precision"][:2] == [50, 0]
    assert grade_measures(never)["precision"] == 25


def test_one_true_grade_has_no_rest():
    measures = grade_measures(np.array([[3, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]))
    assert measures["sensitivity"] == 75
    assert measures["specificity"] is None
    assert measures["Youden"] is None
    assert measures["quadratic kappa"] == 0  # no better than calling all mild
    assert grade_measures(np.diag([4, 0, 0, 0]))["quadratic kappa"] is None
    assert set(grade_measures(np.zeros((4, 4), dtype=np.int64)).values()) == {None}


def test_counts_become_grades_and_a_table():
    counts = [0, 5, 6, 20, 21, 50, 51, 1000]
    assert grades_of(counts).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert grades_of(range(100)).tolist() == [hayashi_grade(count) for count in range(100)]
    grading = grade_counts([3, 6, 30, 60], [6, 6, 20, 51])
    assert grading.confusion.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert grading.measures["accuracy"] == 50


@given(st.lists(st.integers(0, 4), min_size=16, max_size=16))
def test_no_table_gives_nan_or_leaves_its_range(cells):
    for name, value in grade_measures(np.array(cells).reshape(4, 4)).items():
        low, high = {"quadratic kappa": (-1, 1), "Youden": (-100, 100)}.get(name, (0, 100))
        assert value is None or low - 1e-9 <= value <= high + 1e-9
