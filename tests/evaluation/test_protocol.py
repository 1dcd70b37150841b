"""The whole evaluation: by hand, and its weights against photos that are really repeated."""

import dataclasses
import json
import operator

import numpy as np
import pytest

import acnet
from acnet.errors import UserError
from acnet.evaluation.count_fit import fit_count_model
from acnet.evaluation.printed_tables import result_text
from acnet.evaluation.protocol import Headline, evaluate, match_once
from acnet.evaluation.result import EvaluationOptions
from tests.evaluation.coco_content import detections_of, repeat_photos, truth_of
from tests.evaluation.count_models import count_model
from tests.evaluation.simulated import simulate

FEW = EvaluationOptions(replicates=20)
COUNT_MODEL = count_model(merge="soft_nms-linear")
BOX, OTHER, ELSEWHERE = [0, 0, 10, 10], [30, 30, 10, 10], [70, 70, 10, 10]


@pytest.fixture
def by_hand():
    """Return three photos: two lesions of which one is found, one false positive, an empty one.

    Photo 0: BOX found at 0.9, a second detection of it at 0.3, OTHER missed. Photo 1: BOX found at
    0.6 and ELSEWHERE invented at 0.8. Photo 2: nothing, and nothing found.
    """
    truth = truth_of([0, 0, 1], [BOX, OTHER, BOX], 3)
    boxes = [BOX, BOX, BOX, ELSEWHERE]
    return truth, detections_of([0, 0, 1, 1], [0.9, 0.3, 0.6, 0.8], boxes)


def value_of(result, key):
    return {metric.key: metric.value for metric in result.metrics}[key]


def test_counts_grades_and_rows_by_hand(by_hand):
    result = evaluate(*by_hand, count_model=COUNT_MODEL, options=FEW)
    # From 0.5 on: 1 of 2, 2 of 1, 0 of 0 lesions. Intervals: count -+ floor(sqrt(count + 1)).
    assert result.counts.true.tolist() == [2, 1, 0]
    assert result.counts.predicted.tolist() == [1, 2, 0]
    assert result.counts.low.tolist() == [0, 1, 0]
    assert result.counts.high.tolist() == [2, 3, 1]
    assert result.counts.coverage.hits == 3
    assert value_of(result, "MAE") == pytest.approx(2 / 3)
    assert value_of(result, "bias") == 0
    assert value_of(result, "accuracy") == 100  # all mild
    assert value_of(result, "Youden") is None
    names = operator.attrgetter("file_name", "lesions", "counted", "matched", "false", "missed")
    assert [names(row) for row in result.photos] == [
        ("00000.jpg", 2, 1, 1, 0, 1),
        ("00001.jpg", 1, 2, 1, 1, 0),
        ("00002.jpg", 0, 0, 0, 0, 0),
    ]
    assert [row.f1 for row in result.photos] == pytest.approx([2 / 3, 2 / 3, 1])
    assert (result.operating_threshold, result.threshold_source) == (0.5, "count model")


def test_without_a_count_model_nothing_is_counted_but_scores_are_judged(by_hand):
    result = evaluate(*by_hand, options=FEW)
    # Right: 0.9 and 0.6. Wrong: 0.8, and 0.3, a second detection. Ten bins, one each:
    # (|1 - 0.9| + |0 - 0.3| + |1 - 0.6| + |0 - 0.8|) / 4
    assert value_of(result, "ECE") == pytest.approx(100 * 1.6 / 4)
    assert result.calibration.equal_width.counts.tolist() == [1, 1, 1, 1]
    assert result.calibration.equal_width.precisions.tolist() == [0, 1, 0, 1]
    assert result.counts is result.grading is None
    assert not {"counts", "grades"} & {metric.group for metric in result.metrics}
    # At most 1 false positive a photo: all have 1 in 3 photos. FROC leaves out the second
    # detection of a lesion, 0.3, so the last that matters is 0.6.
    assert result.operating_threshold == pytest.approx(0.6)
    assert result.threshold_source == "1 false positive a photo"
    assert result.photos[0].counted_low is None


def test_crowds_are_no_lesions_and_what_is_on_them_is_not_false():
    truth = truth_of([0, 0], [BOX, ELSEWHERE], 1, crowd=[False, True])
    detections = detections_of([0, 0], [0.9, 0.8], [BOX, ELSEWHERE])
    result = evaluate(truth, detections, count_model=COUNT_MODEL, options=FEW)
    row = result.photos[0]
    assert (row.lesions, row.matched, row.false, row.missed) == (1, 1, 0, 0)
    assert result.calibration.equal_width.counts.sum() == 1


def test_metrics_are_the_numbers_of_the_parts():
    truth, detections = simulate(40, seed=0)
    result = evaluate(truth, detections, count_model=COUNT_MODEL, options=FEW)
    for key in ("AP@1000", "AP50@1000", "AP50-VOC07"):
        assert value_of(result, key) == result.detection[key]
    assert value_of(result, "FROC (IoU 0.5)") == pytest.approx(100 * result.froc["iou"].score)
    assert value_of(result, "sensitivity@1/8 (centre)") == pytest.approx(
        100 * result.froc["centre"].at_points[0]
    )
    assert value_of(result, "RMSE") == result.counts.errors["RMSE"]
    assert value_of(result, "quadratic kappa") == result.grading.measures["quadratic kappa"]
    assert value_of(result, "ECE equal mass") == result.calibration.equal_mass.ece
    for row, counted in zip(result.photos, result.counts.predicted, strict=True):
        assert row.counted == counted
        assert row.matched + row.missed == row.lesions
    for metric in result.metrics:
        assert metric.low <= metric.high


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_a_repetition_for_every_number(seed):
    truth, detections = simulate(12, seed=seed)
    weights = np.random.default_rng(seed).multinomial(12, [1 / 12] * 12)
    counts_too_many = dataclasses.replace(COUNT_MODEL, threshold=0.1)
    headline, expected = (
        Headline(match_once(*columns, FEW), count_model=counts_too_many, bins=10)
        for columns in ((truth, detections), repeat_photos(truth, detections, weights))
    )
    expected = expected(np.ones(12, dtype=np.int64))
    found = headline(weights)
    keys = {number.key for number in headline.numbers} - {"ECE equal mass"}  # the sample's bins
    assert [found[key] for key in keys] == pytest.approx([expected[key] for key in keys])


@pytest.mark.parametrize("count_model", [None, COUNT_MODEL])
@pytest.mark.parametrize(
    ("truth", "detections"),
    [
        (truth_of([], [], 2), detections_of([], [])),
        (truth_of([], [], 2), detections_of([0], [0.5], [BOX])),
        (truth_of([0], [BOX], 2), detections_of([], [])),
        (truth_of([0], [BOX], 1), detections_of([0], [0.5], [BOX])),
        (truth_of([0], [BOX], 1, crowd=[True]), detections_of([0], [0.5], [BOX])),
    ],
    ids=["nothing", "no lesions", "no detections", "one photo", "crowds alone"],
)
def test_empty_sets_give_numbers_without_nan(truth, detections, count_model):
    result = evaluate(truth, detections, count_model=count_model, options=FEW)
    json.dumps(result.to_json(), allow_nan=False)
    assert result_text(result)
    if not len(detections):
        assert result.photos_without_detections == truth.num_photos
        assert value_of(result, "AP@1000") == (0 if len(truth) else None)
        assert value_of(result, "ECE") is None

    with pytest.raises(UserError, match="without any"):  # without photos
        evaluate(truth_of([], [], 0), detections_of([], []))


def test_json_holds_every_number_and_says_its_version():
    truth, detections = simulate(10, seed=0)
    result = evaluate(truth, detections, count_model=COUNT_MODEL, options=FEW)
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["schema_version"] == 1
    assert content["acnet_version"] == acnet.__version__
    data = {"photos": 10, "lesions": len(truth), "detections": len(detections), "classes": ["acne"]}
    silent = {"photos_without_detections": result.photos_without_detections}
    assert content["data"] == data | silent
    assert len(content["metrics"]) == len(result.metrics)
    assert content["counts"]["errors"]["MAE"] == value_of(result, "MAE")
    assert len(content["photos"]) == 10
    assert np.sum(content["grading"]["confusion"]) == 10
    assert content["froc"]["iou"]["points"][0] == 0.125
    assert "progress" not in content["options"]


def test_equal_seeds_give_equal_intervals_and_no_replicates_none():
    columns = simulate(15, seed=0)
    changes = ({}, {}, {"seed": 1}, {"replicates": 0})
    first, second, other, none = (
        evaluate(*columns, options=dataclasses.replace(FEW, **change)).metrics for change in changes
    )
    assert first == second != other
    assert {(metric.low, metric.high) for metric in none} == {(None, None)}


@pytest.mark.slow
def test_90_percent_intervals_hold_90_percent_of_new_counts():
    """Coverage of the conformal intervals on fresh toy photos, over 12 validation sets."""
    coverages, inside = [], 0
    for seed in range(12):
        truth, detections = simulate(400, seed=100 + seed)
        model = fit_count_model(truth.counts(), detections, merge="simulated")
        truth, detections = simulate(500, seed=200 + seed)
        options = EvaluationOptions(replicates=0)
        counts = evaluate(truth, detections, count_model=model, options=options).counts
        low, high = counts.expected_coverage
        inside += low <= counts.coverage.value <= high
        coverages.append(counts.coverage.value)
    # Each is off by the luck of 200 validation and 500 new photos, 2.5 points; their mean by 0.7.
    # Ties between the errors of counts can only raise it.
    assert 0.885 <= np.mean(coverages) <= 0.925
    assert inside >= 9  # of 12 within a range of 95 %; fewer happen once in 500 times


@pytest.mark.slow
def test_95_percent_bootstrap_intervals_hold_most_numbers_of_all_photos():
    """Coverage of the bootstrap intervals: how often sets of 100 photos hold the truth of 2000."""
    keys = ("AP@1000", "AP50@1000", "FROC (IoU 0.5)", "MAE", "accuracy", "quadratic kappa")
    none, many = (EvaluationOptions(replicates=replicates) for replicates in (0, 200))
    everything = evaluate(*simulate(2000, seed=6), count_model=COUNT_MODEL, options=none)
    hits = dict.fromkeys(keys, 0)
    for seed in range(40):
        columns = simulate(100, seed=1000 + seed)
        result = evaluate(*columns, count_model=COUNT_MODEL, options=many)
        for metric in result.metrics:
            if metric.key in hits:
                hits[metric.key] += metric.low <= value_of(everything, metric.key) <= metric.high
    # 38 of 40 if they were perfect; 90 % coverage gives fewer than 31 once in 100 times.
    assert min(hits.values()) >= 31, hits
