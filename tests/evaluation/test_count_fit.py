"""Fitting counts: the threshold against brute force, the conformal quantile by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnet.errors import UserError
from acnet.evaluation.count_fit import (
    conformal_quantile,
    fit_count_model,
    fit_domain,
    fit_threshold,
    least_photos,
)
from tests.evaluation.coco_content import detections_of

HIGH = float(np.nextafter(0.5, 1))


@pytest.mark.parametrize(
    ("true", "photo", "scores", "expected"),
    [
        # Photo 0 has 2 lesions, photo 1 has 1. Going down the scores the sum of errors is 3, 2 (0.9
        # in photo 0), 1 (0.8 in 1), 2 (0.6 in 1, one too many), 1 (0.3 in 0), 2 (0.1 in 0). The
        # smallest, 1, is between 0.8 and 0.6 and between 0.3 and 0.1: gaps of 0.2 each, in floating
        # point 0.2 and 0.19999...; the upper one is the wider.
        ([2, 1], [0, 1, 1, 0, 0], [0.9, 0.8, 0.6, 0.3, 0.1], 0.7),
        ([2, 1], [0, 1, 1, 0, 0], [0.9, 0.8, 0.7, 0.5, 0.1], 0.3),  # the lower gap is wider
        ([2, 1], [0, 1, 1, 0, 0], [1.0, 0.75, 0.5, 0.375, 0.125], 0.625),  # of equal ones the upper
        ([9], [0, 0], [0.7, 0.2], 0.2),  # all of too few
        ([0], [0, 0], [0.7, 0.2], float(np.nextafter(0.7, 1))),  # none
        ([1], [0, 0], [0.5, HIGH], HIGH),
    ],
)
def test_threshold_by_hand(true, photo, scores, expected):
    assert fit_threshold(np.array(true), np.array(photo), np.array(scores)) == expected


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10)), min_size=1, max_size=25),
    st.lists(st.integers(0, 6), min_size=4, max_size=4),
)
def test_no_threshold_is_better(rows, true_counts):
    true_counts, (photo, tenths) = np.array(true_counts), np.array(rows).T
    scores = tenths / 10
    found = fit_threshold(true_counts, photo, scores)
    error_found, *errors = (
        np.abs(np.bincount(photo[scores >= threshold], minlength=4) - true_counts).sum()
        for threshold in (found, *np.unique(scores), 2.0)
    )
    assert error_found == min(errors)
    assert found == fit_threshold(true_counts, photo[::-1], scores[::-1])


def test_conformal_quantile_by_hand():
    # n = 9 at 90 %: rank ceil(10 * 0.9) = 9, the largest. n = 19: rank 18 of 19.
    assert conformal_quantile(np.arange(9.0), 0.9) == 8
    assert conformal_quantile(np.arange(19.0), 0.9) == 17
    assert conformal_quantile(np.array([3.0, 1.0, 2.0]), 0.5) == 2


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19), (0.5, 1), (0.99, 99)])
def test_too_few_photos_for_the_coverage_are_refused(coverage, least):
    assert least_photos(coverage) == least
    conformal_quantile(np.zeros(least), coverage)
    with pytest.raises(UserError, match=f"at least {least} photos"):
        conformal_quantile(np.zeros(least - 1), coverage)


def test_the_halves_are_disjoint_and_the_seed_chooses_them():
    rng = np.random.default_rng(0)
    true = rng.poisson(8, size=41)
    photo = np.repeat(np.arange(41), 20)
    detections = detections_of(photo, rng.uniform(size=len(photo)))
    model = fit_count_model(true, detections, merge="soft_nms-linear")
    assert (model.fit_photos, model.interval_photos) == (20, 21)
    assert model == fit_count_model(true, detections, merge="soft_nms-linear")
    assert model.quantile != fit_count_model(true, detections, merge="x", seed=1).quantile


def test_neither_half_has_a_say_in_what_the_other_fits():
    in_fit = np.zeros(37, dtype=bool)
    in_fit[np.random.default_rng(5).permutation(37)[:18]] = True
    # All photos have detections at 0.8, 0.6 and 0.5. The 18 of the fit have one lesion, which
    # wants 0.7; the other 19 have three, and with these all the detections would count.
    detections = detections_of(np.repeat(np.arange(37), 3), np.tile([0.8, 0.6, 0.5], 37))
    model = fit_count_model(np.where(in_fit, 1, 3), detections, merge="x", seed=5)
    assert model.threshold == pytest.approx(0.7)
    # One detection a photo. The fit's half has three lesions each and is always 2 wrong; the
    # other half has one each and is never wrong.
    detections = detections_of(np.arange(37), [0.5] * 37)
    model = fit_count_model(np.where(in_fit, 3, 1), detections, merge="x", seed=5)
    assert (model.fit_mae, model.interval_mae, model.quantile) == (2, 0, 0)


def test_too_small_a_set_names_what_is_needed_and_nothing_detected_is_refused():
    with pytest.raises(UserError, match="lower score floor"):
        fit_threshold(np.array([1]), np.empty(0, int), np.empty(0))
    detections = detections_of([0, 1], [0.5, 0.5])
    with pytest.raises(UserError, match=r"Received 10 photos, 5 .* at least 17 validation photos"):
        fit_count_model(np.ones(10, int), detections, merge="x")
    fit_count_model(np.ones(17, int), detections_of(range(17), [0.5] * 17), merge="x")


def test_quantile_is_in_units_of_the_root_of_the_count():
    # Every photo: 3 lesions found, 5 true, and no further detection. |5 - 3| / sqrt(3 + 1) = 1.
    photo = np.repeat(np.arange(20), 3)
    model = fit_count_model(np.full(20, 5), detections_of(photo, [0.5] * 60), merge="x")
    assert model.quantile == 1
    low, high = model.interval(np.array([3, 0, 99]))
    assert low.tolist() == [1, 0, 89]
    assert high.tolist() == [5, 1, 109]
    assert (model.fit_mae, model.interval_mae) == (2, 2)


def test_copies_beside_each_other_do_not_narrow_the_limit():
    people = np.random.default_rng(0).normal(5, 2, (20, 30))
    copies = fit_domain(np.repeat(people, 4, axis=0))
    assert copies.limit >= fit_domain(people).limit * 0.95
    one_by_one = fit_domain(np.tile(people, (4, 1)))  # each has copies in other tenths
    assert one_by_one.limit < copies.limit


def test_the_limit_is_that_of_each_photo_s_distance_from_other_tenths():
    traits = np.random.default_rng(0).normal(5, 2, (40, 30))
    traits[:, 0] = 1  # a trait that never differs
    found = fit_domain(traits)
    distances = []
    for first in range(0, 40, 4):
        some, others = (
            traits[first : first + 4],
            np.delete(traits, np.r_[first : first + 4], axis=0),
        )
        scale = np.maximum(others.std(axis=0), 1e-3 * (1 + others.mean(axis=0)))
        distances += np.log1p(((some - others.mean(axis=0)) / scale) ** 2).mean(axis=1).tolist()
    assert found.limit == pytest.approx(sorted(distances)[38])  # ceil(41 * 0.95) = 39th of 40
    assert found.has(traits.mean(axis=0))
    assert not found.has(traits.mean(axis=0) + 10)
    with pytest.raises(UserError, match="at least 19 of them"):
        fit_domain(traits[:18])
