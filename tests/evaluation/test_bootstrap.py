"""Intervals over photos, and two models on the same photos."""

import dataclasses

import numpy as np
import pytest

from acnet.evaluation.bootstrap import bootstrap, percentile_interval, two_sided_p
from acnet.evaluation.printed_tables import comparison_text
from acnet.evaluation.protocol import compare, evaluate
from acnet.evaluation.result import EvaluationOptions
from tests.evaluation.coco_content import detections_of
from tests.evaluation.count_models import count_model
from tests.evaluation.simulated import simulate


class Mean:
    """The mean of one value a photo, and whether its first photo was drawn."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float64)

    def __call__(self, photo_weights):
        mean = float(np.average(self.values, weights=photo_weights))
        return {"mean": mean, "first": mean if photo_weights[0] else None}


def test_all_photos_once_then_as_many_drawn_with_replacement():
    seen = []
    bootstrap(lambda weights: seen.append(weights) or {}, [], 7, replicates=50)
    assert seen[0].tolist() == [1] * 7
    assert {int(weights.sum()) for weights in seen} == {7}
    assert max(int(weights.max()) for weights in seen[1:]) > 1
    assert len({tuple(weights) for weights in seen}) > 40


def test_the_spread_is_that_of_a_mean():
    # The standard error of a mean of n values is their standard deviation / sqrt(n).
    values = np.random.default_rng(0).normal(10, 3, size=200)
    found = bootstrap(Mean(values), ["mean"], 200, replicates=2000)
    assert found.values.tolist() == pytest.approx([values.mean()])
    assert found.replicates[:, 0].std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)
    low, high = percentile_interval(found.replicates[:, 0], 0.95)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(200), rel=0.08)


def test_the_same_seed_draws_the_same_photos_so_equal_models_do_not_differ():
    values = np.random.default_rng(0).normal(size=30)
    a = bootstrap(Mean(values), ["mean"], 30, replicates=20)
    b = bootstrap(Mean(values + 1), ["mean"], 30, replicates=20)
    assert b.replicates - a.replicates == pytest.approx(np.ones((20, 1)))
    other = bootstrap(Mean(values), ["mean"], 30, replicates=20, seed=1)
    assert not np.array_equal(a.replicates, other.replicates)
    few = bootstrap(Mean(values), ["mean"], 30, replicates=3)
    assert few.replicates.tolist() == a.replicates[:3].tolist()  # more begin with the fewer


def test_what_a_replicate_does_not_define_is_nan_and_missing_keys_too():
    found = bootstrap(Mean([1, 2]), ["first", "no such key"], 2, replicates=100)
    undefined = np.isnan(found.replicates)
    assert 10 < undefined[:, 0].sum() < 40  # the first of two photos: drawn in 3 of 4 replicates
    assert undefined[:, 1].all()
    assert np.isnan(found.values).tolist() == [False, True]
    none = bootstrap(Mean([1, 3]), ["mean"], 2, replicates=0)
    assert (none.values.tolist(), none.replicates.shape) == ([2], (0, 1))
    assert percentile_interval(none.replicates[:, 0], 0.95) is None
    assert two_sided_p(none.replicates[:, 0]) is None


def test_intervals_and_p_by_hand():
    # 0, 1, ..., 100: the middle 90 % are from the 5th to the 95th percentile.
    values = np.random.default_rng(0).permutation(101).astype(np.float64)
    assert percentile_interval(values, 0.9) == pytest.approx((5, 95))
    # 99 replicates, 4 of them at most 0: 2 * (4 + 1) / (99 + 1).
    differences = np.concatenate([np.full(3, -1.0), [0.0], np.full(95, 2.0)])
    assert two_sided_p(differences) == two_sided_p(-differences) == pytest.approx(0.1)
    assert two_sided_p(np.zeros(99)) == 1
    assert two_sided_p(np.ones(99)) == pytest.approx(0.02)  # never 0
    # An interval at level 1 - p just reaches 0.
    differences = np.random.default_rng(0).normal(1.2, 1, size=9999)
    low, _ = percentile_interval(differences, 1 - two_sided_p(differences))
    assert low == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("undefined", "of", "is_enough"), [(10, 100, True), (11, 100, False)])
def test_an_interval_needs_nine_defined_replicates_in_ten(undefined, of, is_enough):
    values = np.arange(float(of))
    values[:undefined] = np.nan
    assert (percentile_interval(values, 0.9) is not None) == is_enough
    assert (two_sided_p(values) is not None) == is_enough


def test_the_bar_appears_only_when_asked(capsys, monkeypatch):
    monkeypatch.setattr("acnet.evaluation.bootstrap.SILENT_SECONDS", 0)
    bootstrap(Mean([1, 2]), ["mean"], 2, replicates=5)
    assert capsys.readouterr().err == ""
    bootstrap(Mean([1, 2]), ["mean"], 2, replicates=5, progress=True)
    assert "bootstrap: 100%" in capsys.readouterr().err


OPTIONS = EvaluationOptions(replicates=100)
COUNT_MODEL = count_model(merge="soft_nms-linear")


def with_scores(detections, scores):
    return detections_of(detections.photo, scores, detections.boxes_xywh)


@pytest.fixture(scope="module")
def sets():
    """Return ground truth, a model, and the same model with slightly moved scores."""
    truth, a = simulate(60, seed=0)
    noise = np.random.default_rng(0).normal(0, 0.05, size=len(a))
    return truth, a, with_scores(a, np.clip(a.scores + noise, 0, 1))


def compared(truth, a, b, **options) -> dict:
    return {row.key: row for row in compare(truth, a, b, options=OPTIONS, **options)}


def test_differences_are_those_of_two_evaluations_and_turn_with_the_models(sets):
    truth, a, b = sets
    rows, turned = compared(truth, a, b), compared(truth, b, a)
    of_a, of_b = (evaluate(truth, model, options=OPTIONS).metrics for model in (a, b))
    for row, back, one, other in zip(rows.values(), turned.values(), of_a, of_b, strict=True):
        assert (row.key, row.a, row.b) == (one.key, one.value, other.value)
        assert row.difference == pytest.approx(other.value - one.value)
        assert row.low <= row.high
        assert back.difference == pytest.approx(-row.difference)
        assert (back.low, back.high) == pytest.approx((-row.high, -row.low), abs=1e-9)
        assert back.p == row.p
        if row.key == "AP50@1000":  # pairing shows what two intervals hide
            assert row.high - row.low < 0.7 * (one.high - one.low)


def test_a_model_that_is_better_everywhere_is_called_so(sets):
    truth, a, _ = sets
    row = compared(truth, with_scores(a, np.zeros(len(a))), a)["AP50@1000"]
    assert row.difference > 0
    assert row.low > 0
    assert row.p == pytest.approx(2 / 101)
    for change, last in (({}, "B"), ({"better": "lower"}, "A"), ({"p": 0.06}, "0.060")):
        text = comparison_text([dataclasses.replace(row, **change)], OPTIONS)
        assert text.split()[-1] == last


def test_a_model_differs_neither_from_itself_nor_in_counts_by_thresholds_of_their_own(sets):
    truth, a, _ = sets
    for row in compared(truth, a, a).values():
        assert (row.difference, row.low, row.high, row.p) == (0, 0, 0, 1)
    halved = with_scores(a, a.scores / 2)
    half = dataclasses.replace(COUNT_MODEL, threshold=0.25)
    rows = compared(truth, a, halved, count_models=(COUNT_MODEL, half))
    assert rows["MAE"].difference == rows["accuracy"].difference == 0
    assert rows["MAE"].a > 0
    assert "MAE" not in compared(truth, a, halved)

    # What is undefined is shown as such.
    row = compared(truth, a, detections_of([], []))["ECE"]
    assert (row.b, row.difference, row.low, row.p) == (None, None, None, None)
    assert comparison_text([row], OPTIONS).splitlines()[-1].split()[-4:] == ["-"] * 4
