"""Reliability and expected calibration error, and maps from scores to probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acnet.evaluation.calibration import (
    ScoreBins,
    _isotonic,
    _platt,
    equal_mass_edges,
    equal_width_edges,
    fit_score_map,
)
from acnet.evaluation.protocol import match_once
from acnet.evaluation.result import EvaluationOptions
from tests.evaluation.simulated import simulate


def binned(scores, right, edges):
    photo = np.zeros(len(scores), dtype=np.int32)
    return ScoreBins(photo, np.array(scores), np.array(right, dtype=bool), edges, 1).bins()


def test_error_by_hand():
    # Two bins. Below 0.5: scores 0.1 and 0.3, one right: |1/2 - 0.2| = 0.3, of 2 in 5.
    # From 0.5: 0.5, 0.9 and 1.0, all right: |1 - 0.8| = 0.2, of 3 in 5. Sum 0.12 + 0.12.
    found = binned([0.1, 0.3, 0.5, 0.9, 1.0], [0, 1, 1, 1, 1], equal_width_edges(2))
    assert found.counts.tolist() == [2, 3]
    assert found.mean_scores == pytest.approx([0.2, 0.8])
    assert found.precisions == pytest.approx([0.5, 1])
    assert found.ece == pytest.approx(24)
    # Limits belong to the upper bin and 1 to the last; empty bins are left out.
    found = binned([0.0, 0.25, 0.5, 0.75, 1.0], [0] * 5, equal_width_edges(4))
    assert found.counts.tolist() == [1, 1, 1, 2]
    found = binned([0.05, 0.95], [0, 1], equal_width_edges(10))
    assert found.edges == pytest.approx(np.array([[0, 0.1], [0.9, 1]]))
    assert found.counts.tolist() == [1, 1]
    # Scores that mean what they say have no error.
    assert binned([0.25] * 4, [1, 0, 0, 0], equal_width_edges(10)).ece == pytest.approx(0)
    for edges in (equal_width_edges(10), equal_mass_edges(np.empty(0), 10)):
        nothing = binned([], [], edges)
        assert nothing.ece is None
        assert len(nothing.counts) == 0


def test_equal_mass_by_hand():
    # Seven scores in three bins start at ranks 0, 2 and 4.
    edges = equal_mass_edges(np.array([0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), 3)
    assert edges.tolist() == [[0.1, 0.2], [0.3, 0.4], [0.5, 0.9]]
    # Equal scores stay in one bin.
    edges = equal_mass_edges(np.array([0.1, 0.5, 0.5, 0.5, 0.5, 0.9]), 3)
    assert edges.tolist() == [[0.1, 0.1], [0.5, 0.9]]
    assert equal_mass_edges(np.full(8, 0.5), 4).tolist() == [[0.5, 0.5]]


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 6))
def test_every_score_is_in_the_bin_that_says_so(twentieths, bins):
    scores = np.array(twentieths) / 20
    found = binned(scores, [0] * len(scores), equal_mass_edges(scores, bins))
    inside = [int(((low <= scores) & (scores <= high)).sum()) for low, high in found.edges]
    assert found.counts.tolist() == inside
    assert sum(inside) == len(scores)


@pytest.mark.parametrize("fit", [_isotonic, _platt])
def test_too_bold_scores_become_the_share_that_is_right(fit):
    # Right with probability s^2: 0.25 at a score of 0.5, 0.64 at 0.8.
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.05, 0.95, 20_000)
    found = fit(scores, rng.random(20_000) < scores**2)
    assert found.is_valid
    assert found(np.array([0.5, 0.8])) == pytest.approx([0.25, 0.64], abs=0.05)


@pytest.mark.parametrize("fit", [_isotonic, _platt])
def test_few_or_equal_outcomes_give_a_map_too(fit):
    for right in ([False], [True], [False] * 9, [True] * 9):
        found = fit(np.linspace(0.2, 1, len(right)), np.array(right))
        assert found.is_valid
        assert np.isfinite(found(np.array([0.0, 0.5, 1.0]))).all()


def test_the_fit_holds_on_other_photos_and_keeps_the_order():
    one, other = (match_once(*simulate(60, seed=seed), EvaluationOptions()) for seed in (0, 1))
    fit = fit_score_map(one, threshold=0.5)
    assert fit.ece < fit.raw_ece
    assert fit.counted_ece < 10
    values = fit.score_map(other.detections.scores)
    order = np.argsort(other.detections.scores, kind="stable")
    assert (np.diff(values[order]) >= 0).all()
    right = other.matched(iou=0.5)
    assert binned(values, right, equal_width_edges(10)).ece < 5
    assert fit_score_map(one, threshold=0.5) == fit
