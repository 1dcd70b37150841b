"""Average precision: equal to pycocotools, by hand, and by re-weighting."""

import numpy as np
import pytest

from acnet.evaluation import (
    COCO_IOUS,
    DEFAULT_RANGES,
    PrecisionCurves,
    average_precision,
    match,
    precision_recall,
)
from tests.evaluation.coco_content import match_lesions, match_rows, repeat_photos
from tests.evaluation.random_sets import random_set, run_pycocotools

CAPS = [3, 100, 1000]


def numbers_of(*columns, **options) -> dict[str, float]:
    """Return all numbers of what `match_lesions` matches."""
    return average_precision(match_lesions(*columns, **options))


def percent(values: np.ndarray) -> float | None:
    """Average what pycocotools does not mark as undefined."""
    return 100 * float(values[values > -1].mean()) if (values > -1).any() else None


def expected_numbers(content: dict, precision: np.ndarray, recall: np.ndarray, caps: list) -> dict:
    """Name the reference's numbers, (T, 101, K, A, M) and (T, K, A, M), as ours are named."""
    at = {"": slice(None), "50": slice(0, 1), "75": slice(5, 6)}
    numbers = {}
    for m, cap in enumerate(caps):
        for a, size in enumerate(DEFAULT_RANGES):
            for name, thresholds in at.items():
                numbers[f"AP{name}{size.suffix}@{cap}"] = percent(precision[thresholds, :, :, a, m])
            numbers[f"AR{size.suffix}@{cap}"] = percent(recall[:, :, a, m])
        if len(content["categories"]) > 1:
            categories = sorted(content["categories"], key=lambda category: category["id"])
            for k, category in enumerate(categories):
                numbers[f"AP-{category['name']}@{cap}"] = percent(precision[:, :, k, 0, m])
                numbers[f"AP50-{category['name']}@{cap}"] = percent(precision[0, :, k, 0, m])
    return {key: number for key, number in numbers.items() if number is not None}


@pytest.mark.parametrize("seed", range(50))
def test_equal_to_pycocotools(seed):
    content, results = random_set(100 + seed, num_classes=1 + seed % 3)
    ranges = [[size.low, size.high] for size in DEFAULT_RANGES]
    reference = run_pycocotools(content, results, caps=CAPS, area_ranges=ranges).eval
    expected = expected_numbers(content, reference["precision"], reference["recall"], CAPS)
    numbers = average_precision(match_rows(content, results, max_detections=CAPS))
    coco = {key: number for key, number in numbers.items() if "@" in key}
    assert coco.keys() == expected.keys()
    assert coco == pytest.approx(expected, abs=1e-9, rel=0)


def grid(number: int) -> list[list[float]]:
    """Return XYWH boxes of 20 px that do not touch."""
    return [[30.0 * (i % 20), 30.0 * (i // 20), 20.0, 20.0] for i in range(number)]


def test_300_perfect_boxes_need_a_cap_of_300():
    # At 100, recall stops at 1/3, so 34 of the recalls 0.00, 0.01, ... are reached.
    boxes = grid(300)
    numbers = numbers_of(boxes, [(box, 0.9) for box in boxes])
    assert numbers["AP@1000"] == pytest.approx(100)
    assert numbers["AP@100"] == pytest.approx(100 * 34 / 101)
    assert numbers["AR@100"] == pytest.approx(100 / 3)
    assert numbers["AP50-VOC07"] == pytest.approx(100)  # VOC has no cap


def test_by_hand():
    # Of two lesions the first detection is false, the second right, the third half of its lesion:
    # at IoU 0.5 precision is 1/2 at recall 1/2 and 2/3 at recall 1, so 2/3 throughout; from 0.55
    # on only one is found, precision 1/2 for the 51 recalls up to 0.50.
    lesions = [[0.0, 0.0, 20.0, 20.0], [100.0, 0.0, 20.0, 20.0]]
    found = [([300.0, 300.0, 20.0, 20.0], 0.9), (lesions[0], 0.8), ([100.0, 0.0, 10.0, 20.0], 0.7)]
    matches = match_lesions(lesions, found)
    numbers = average_precision(matches)
    half = 100 * 0.5 * 51 / 101
    assert numbers["AP50@1000"] == pytest.approx(200 / 3)
    assert numbers["AP75@1000"] == pytest.approx(half)
    assert numbers["AP@1000"] == pytest.approx((200 / 3 + 9 * half) / 10)
    assert numbers["AR@1000"] == pytest.approx((100 + 9 * 50) / 10)
    # VOC wants more than 0.5: one found, 6 of the 11 recalls, and an area of 1/2 * 1/2.
    assert numbers["AP50-VOC07"] == pytest.approx(100 * 0.5 * 6 / 11)
    assert numbers["AP50-area"] == pytest.approx(25)
    curve = precision_recall(matches)
    assert curve.recall.tolist() == [0.5, 1]
    assert curve.precision.tolist() == pytest.approx([1 / 2, 2 / 3])
    assert curve.scores.tolist() == [0.8, 0.7]
    assert curve.ap == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("lesions", "found", "expected"),
    [
        # 15 of 20 pixels: an IoU of 0.75, enough for COCO at 0.75 and for VOC up to 0.70.
        ([[0, 0, 20, 20]], [[0, 0, 15, 20]], {"AP75@1000": 100, "AP75-area": 0, "AP-area": 50}),
        # VOC looks at the box of most overlap alone: the second detection overlaps the taken lesion
        # most and the free one enough.
        (
            [[0, 0, 20, 20], [4, 0, 20, 20]],
            [[0, 0, 20, 20], [1, 0, 20, 20]],
            {"AP50@1000": 100, "AP50-area": 50},
        ),
    ],
)
def test_where_vocs_rule_and_cocos_differ(lesions, found, expected):
    numbers = numbers_of(lesions, list(zip(found, (0.9, 0.8), strict=False)))
    assert {key: numbers[key] for key in expected} == pytest.approx(expected)


def test_difficult_boxes_neither_count_nor_punish_by_vocs_rule_alone():
    one, other = grid(2)
    difficult = {"bbox": other, "difficult": 1}
    numbers = numbers_of([one, difficult], [(other, 0.9)])
    assert numbers["AP50-area"] == 0
    assert numbers["AP50@1000"] == pytest.approx(100 * 51 / 101)
    both = [(other, 0.9), (one, 0.8)]
    numbers = numbers_of([one, difficult], both)
    assert numbers["AP50-area"] == pytest.approx(100)
    assert numbers["AP50-VOC07"] == pytest.approx(100)
    only_difficult = numbers_of([difficult], both)
    assert not [key for key in only_difficult if key.endswith(("VOC07", "area"))]


def test_no_detections_are_0_and_without_ground_truth_there_is_no_number():
    numbers = numbers_of(grid(3), [])
    assert set(numbers.values()) == {0.0}
    # Lesions of 20 px are small, and in the bin of 16 to 32 px; there are no others.
    sizes = {key.split("@")[0] for key in numbers if key.startswith("AP50") and "@" in key}
    assert sizes == {"AP50", "AP50s", "AP50[16-32px]"}
    assert numbers_of([], [([0.0, 0.0, 9.0, 9.0], 0.9)]) == {}
    assert precision_recall(match_lesions([], [])) is None
    assert numbers_of([{"bbox": [0, 0, 9, 9], "iscrowd": 1}], []) == {}


def test_a_photo_without_lesions_costs_what_is_found_there():
    right, false = (grid(1)[0], 0.8), ([0, 0, 9, 9], 0.9, 2)
    for found, expected in (([right], 100), ([right, false], 50)):
        assert numbers_of(grid(1), found, num_photos=2)["AP50@1000"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_weights_are_repeated_photos(seed):
    content, results = random_set(seed, num_photos=6)
    for place, row in enumerate(results):  # ties within a photo would come in another order
        row["score"] += 1e-6 * place
    weights = np.random.default_rng(seed).integers(0, 4, 6)
    matches = match_rows(content, results)
    repeated = match(*repeat_photos(matches.ground_truth, matches.detections, weights))
    expected = average_precision(repeated)
    assert len(expected) > 20
    assert average_precision(matches, photo_weights=weights) == pytest.approx(
        expected, abs=1e-9, rel=0
    )


def test_curves_are_those_of_the_numbers():
    thresholds = [0.1, 0.3, *COCO_IOUS, 1.0]
    more, matches = (match_rows(*random_set(8), iou_thresholds=t) for t in (thresholds, COCO_IOUS))
    numbers = average_precision(matches)
    assert average_precision(more) == numbers  # thresholds beside COCO's change nothing
    few = PrecisionCurves(matches, suffixes=["s"], caps=[1000], voc=False).average_precision()
    assert set(few) == {"APs@1000", "AP50s@1000", "AP75s@1000", "ARs@1000"}
    assert few.items() <= numbers.items()
    for index, name in enumerate(matches.ground_truth.class_names):
        curve = precision_recall(matches, class_index=index, cap=100)
        key = f"AP50-{name}@100"
        assert (curve is None) == (key not in numbers)
        if curve is not None:
            assert curve.ap == pytest.approx(numbers[key])
