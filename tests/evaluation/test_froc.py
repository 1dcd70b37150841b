"""FROC: by hand, against a slow reference, and where a careless one errs."""

import numpy as np
import pytest

from acnet.evaluation import (
    FALSE_POSITIVES_PER_PHOTO,
    FrocCurve,
    detections_from_rows,
    froc,
    ground_truth_from_coco,
    match,
)
from tests.evaluation.random_sets import random_set


def make_matches(lesions: dict[int, list], found: list[tuple], *, num_photos: int = 1, **options):
    """Match lesions by photo with detections (photo, XYWH box, score), all of one class."""
    boxes = [(image_id, box) for image_id, of_photo in lesions.items() for box in of_photo]
    ground_truth = ground_truth_from_coco(
        {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 640}
                for i in range(1, num_photos + 1)
            ],
            "categories": [{"id": 1, "name": "acne"}],
            "annotations": [
                {"id": i, "image_id": image_id, "category_id": 1, "bbox": box}
                for i, (image_id, box) in enumerate(boxes, start=1)
            ],
        }
    )
    rows = [
        {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
        for image_id, box, score in found
    ]
    return match(ground_truth, detections_from_rows(rows, ground_truth), **options)


def spots(*corners: int) -> list[list[float]]:
    """Return XYWH boxes of 10 px on the diagonal."""
    return [[float(c), float(c), 10.0, 10.0] for c in corners]


@pytest.mark.parametrize("rule", ["iou", "centre"])
def test_far_away_pairs_are_no_hits(rule):
    found = [(1, box, 0.9) for box in spots(300, 320, 340, 360, 380)]
    curve = froc(make_matches({1: spots(0, 20, 40, 60, 80)}, found), rule=rule)
    assert curve.score == 0
    assert curve.sensitivity.tolist() == [0]
    assert curve.false_positives.tolist() == [5]


def test_by_hand():
    # Two photos with two lesions each; by falling score: hit, false, hit, false, false, hit.
    matches = make_matches(
        {1: spots(0, 50), 2: spots(0, 50)},
        [
            *((1, spots(0)[0], 0.9), (1, spots(200)[0], 0.8), (2, spots(0)[0], 0.7)),
            *((2, spots(200)[0], 0.6), (2, spots(300)[0], 0.5), (2, spots(50)[0], 0.4)),
        ],
        num_photos=2,
    )
    curve = froc(matches)
    assert curve.scores.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert curve.false_positives.tolist() == [0, 0.5, 0.5, 1, 1.5, 1.5]
    assert curve.sensitivity.tolist() == [0.25, 0.25, 0.5, 0.5, 0.5, 0.75]
    # At 1/8 and 1/4: only the first; at 1/2 and 1: two; at 2, 4, 8: all there is.
    assert curve.points == FALSE_POSITIVES_PER_PHOTO
    assert curve.at_points == (0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75)
    assert curve.thresholds == (0.9, 0.9, 0.7, 0.6, 0.4, 0.4, 0.4)
    assert curve.score == pytest.approx(3.75 / 7)


def test_equal_scores_come_together():
    found = [(1, spots(0)[0], 0.9), (1, spots(200)[0], 0.9)]
    curve = froc(make_matches({1: spots(0)}, found), points=[0.5, 1.0])
    assert curve.sensitivity.tolist() == [1]
    assert curve.at_points == (0, 1)  # the hit cannot be had without the false one
    assert curve.thresholds == (None, 0.9)


def test_a_lesion_is_hit_once():
    lesion = spots(0)[0]
    matches = make_matches({1: [lesion, *spots(50)]}, [(1, lesion, 0.9), (1, lesion, 0.8)])
    for rule in ("iou", "centre"):
        ignored = froc(matches, rule=rule)
        assert ignored.sensitivity.tolist() == [0.5]
        assert ignored.false_positives.tolist() == [0]
        false = froc(matches, rule=rule, duplicates="false")
        assert false.sensitivity.tolist() == [0.5, 0.5]
        assert false.false_positives.tolist() == [0, 1]


def test_rules_differ_where_a_small_box_points_at_a_lesion():
    matches = make_matches({1: spots(0)}, [(1, [4.0, 4.0, 2.0, 2.0], 0.9)])
    assert froc(matches, rule="iou").score == 0
    assert froc(matches, rule="centre").score == 1


def test_a_lower_iou_is_an_option():
    matches = make_matches(
        {1: spots(0)}, [(1, [0.0, 0.0, 10.0, 4.0], 0.9)], iou_thresholds=[0.3, 0.5]
    )
    assert froc(matches, iou=0.3).score == 1
    assert froc(matches, iou=0.5).score == 0


def test_crowds_excuse():
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 640}],
        "categories": [{"id": 1, "name": "acne"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 100], "iscrowd": 1},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [200, 200, 10, 10]},
        ],
    }
    rows = [{"image_id": 1, "category_id": 1, "bbox": [20, 20, 10, 10], "score": 0.9}]
    ground_truth = ground_truth_from_coco(content)
    matches = match(ground_truth, detections_from_rows(rows, ground_truth))
    for rule in ("iou", "centre"):
        assert froc(matches, rule=rule).false_positives.tolist() == []


def slow_reference(content: dict, results: list[dict], threshold: float, radius: float | None):
    """Count hits and false positives at one threshold, pair by pair, by the centre rule."""
    hits = false = 0
    for image in content["images"]:
        for category in content["categories"]:
            mine = {"image_id": image["id"], "category_id": category["id"]}
            lesions = [a["bbox"] for a in content["annotations"] if mine.items() <= a.items()]
            found = [r for r in results if mine.items() <= r.items() and r["score"] >= threshold]
            taken = set()
            for row in sorted(found, key=lambda row: -row["score"]):
                near = {}
                for index, lesion in enumerate(lesions):
                    dx, dy = (
                        row["bbox"][i] + row["bbox"][i + 2] / 2 - lesion[i] - lesion[i + 2] / 2
                        for i in (0, 1)
                    )
                    inside = abs(dx) <= lesion[2] / 2 and abs(dy) <= lesion[3] / 2
                    distance = (dx**2 + dy**2) ** 0.5
                    if inside if radius is None else distance <= radius:
                        near[index] = distance
                free = [index for index in near if index not in taken]
                if free:
                    taken.add(min(free, key=lambda index: near[index]))
                    hits += 1
                elif not near:
                    false += 1
    return false / len(content["images"]), hits / len(content["annotations"])


@pytest.mark.parametrize("radius", [None, 12.0])
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_a_slow_reference(seed, radius):
    content, results = random_set(seed)
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 0
    ground_truth = ground_truth_from_coco(content)
    detections = detections_from_rows(results, ground_truth)
    curve = froc(match(ground_truth, detections, centre_radius_px=radius), rule="centre")
    assert len(curve.scores) > 5
    for place, threshold in enumerate(curve.scores):
        expected = slow_reference(content, results, threshold, radius)
        assert (curve.false_positives[place], curve.sensitivity[place]) == pytest.approx(expected)
    reached = [slow_reference(content, results, score, radius) for score in curve.scores]
    for point, sensitivity in zip(curve.points, curve.at_points, strict=True):
        assert sensitivity == pytest.approx(max((s for f, s in reached if f <= point), default=0))


def test_weights_are_repeated_photos():
    lesions = {1: spots(0), 2: spots(0), 3: spots(0)}
    found = [(1, spots(0)[0], 0.9), (2, spots(90)[0], 0.8), (3, spots(0)[0], 0.7)]
    prepared = FrocCurve(make_matches(lesions, found, num_photos=3))
    weighted = prepared.froc(np.array([0, 1, 3]))
    # One photo with a false one, three with a hit each.
    assert weighted.false_positives.tolist() == [0, 0.25, 0.25]
    assert weighted.sensitivity.tolist() == [0, 0, 0.75]
    assert prepared.froc(np.ones(3, dtype=int)).score == prepared.froc().score


def test_nothing_found_and_nothing_to_find():
    silent = froc(make_matches({1: spots(0)}, []))
    assert silent.score == 0
    assert silent.thresholds == (None,) * 7
    assert froc(make_matches({}, [(1, spots(0)[0], 0.9)])) is None


def test_unknown_choices_are_refused():
    matches = make_matches({}, [])
    with pytest.raises(ValueError, match=r"rule must be one of .*Received 'dice'"):
        froc(matches, rule="dice")
    with pytest.raises(ValueError, match=r"duplicates must be one of .*Received 'true'"):
        froc(matches, duplicates="true")
