"""Two models on the same photos: pairing, direction and what happens where nothing differs."""

import dataclasses

import numpy as np
import pytest

from acnet.evaluation.columns import sort_detections
from acnet.evaluation.comparison import compare
from acnet.evaluation.printed_tables import comparison_text
from acnet.evaluation.protocol import evaluate
from acnet.evaluation.result import EvaluationOptions
from tests.evaluation.count_models import count_model
from tests.evaluation.simulated import simulate

OPTIONS = EvaluationOptions(replicates=100)
COUNT_MODEL = count_model(merge="soft_nms-linear")


def with_scores(detections, change):
    return sort_detections(
        photo=detections.photo,
        classes=detections.classes,
        boxes_xywh=detections.boxes_xywh,
        scores=change(detections.scores),
    )


@pytest.fixture(scope="module")
def sets():
    """Return ground truth, a model, and the same model with slightly moved scores."""
    truth, a = simulate(60, seed=0)
    noise = np.random.default_rng(0).normal(0, 0.05, size=len(a))
    return truth, a, with_scores(a, lambda scores: np.clip(scores + noise, 0, 1))


def rows_by_key(rows):
    return {row.key: row for row in rows}


def test_a_model_does_not_differ_from_itself(sets):
    truth, a, _ = sets
    for row in compare(truth, a, a, options=OPTIONS):
        assert (row.difference, row.low, row.high, row.p) == (0, 0, 0, 1)


def test_values_and_order_are_those_of_two_evaluations(sets):
    truth, a, b = sets
    rows = compare(truth, a, b, options=OPTIONS)
    metrics_a = evaluate(truth, a, options=OPTIONS).metrics
    metrics_b = evaluate(truth, b, options=OPTIONS).metrics
    for row, of_a, of_b in zip(rows, metrics_a, metrics_b, strict=True):
        assert (row.key, row.a, row.b) == (of_a.key, of_a.value, of_b.value)
        assert row.difference == pytest.approx(of_b.value - of_a.value)
        assert row.low <= row.high


def test_swapping_the_models_turns_the_signs(sets):
    truth, a, b = sets
    there, back = compare(truth, a, b, options=OPTIONS), compare(truth, b, a, options=OPTIONS)
    for row, turned in zip(there, back, strict=True):
        assert turned.difference == pytest.approx(-row.difference)
        assert (turned.low, turned.high) == pytest.approx((-row.high, -row.low), abs=1e-9)
        assert turned.p == row.p


def test_pairing_shows_what_two_intervals_hide(sets):
    truth, a, b = sets
    row = rows_by_key(compare(truth, a, b, options=OPTIONS))["AP50@1000"]
    metric = {m.key: m for m in evaluate(truth, a, options=OPTIONS).metrics}["AP50@1000"]
    assert row.high - row.low < 0.7 * (metric.high - metric.low)


def test_a_model_that_is_better_everywhere_is_called_so(sets):
    truth, a, _ = sets
    none = with_scores(a, np.zeros_like)  # the scores say nothing any more
    row = rows_by_key(compare(truth, none, a, options=OPTIONS))["AP50@1000"]
    assert row.difference > 0
    assert row.low > 0
    assert row.p == pytest.approx(2 / 101)
    line = comparison_text([row], OPTIONS).splitlines()[-1]
    assert line.split()[-1] == "B"
    lower_is_better = dataclasses.replace(row, better="lower")
    assert comparison_text([lower_is_better], OPTIONS).split()[-1] == "A"
    by_chance = dataclasses.replace(row, p=0.06)
    assert comparison_text([by_chance], OPTIONS).split()[-1] == "0.060"


def test_each_model_counts_by_its_own_threshold(sets):
    truth, a, _ = sets
    halved = with_scores(a, lambda scores: scores / 2)
    half = dataclasses.replace(COUNT_MODEL, threshold=0.25)
    rows = rows_by_key(compare(truth, a, halved, count_models=(COUNT_MODEL, half), options=OPTIONS))
    assert rows["MAE"].difference == rows["accuracy"].difference == 0
    assert rows["MAE"].a > 0
    assert "MAE" not in rows_by_key(compare(truth, a, halved, options=OPTIONS))


def test_what_is_undefined_is_shown_as_such(sets):
    truth, a, _ = sets
    empty = with_scores(
        sort_detections(photo=[], classes=[], boxes_xywh=np.empty((0, 4)), scores=[]), np.copy
    )
    row = rows_by_key(compare(truth, a, empty, options=OPTIONS))["ECE"]
    assert (row.b, row.difference, row.low, row.p) == (None, None, None, None)
    assert comparison_text([row], OPTIONS).splitlines()[-1].split()[-4:] == ["-"] * 4
