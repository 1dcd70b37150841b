"""FROC: by hand, against a slow reference, and where a careless one errs."""

import itertools

import numpy as np
import pytest

from acnet.evaluation import FALSE_POSITIVES_PER_PHOTO, froc
from tests.evaluation.coco_content import match_lesions, match_rows
from tests.evaluation.random_sets import random_set


def spots(*corners: int) -> list[list[float]]:
    """Return XYWH boxes of 10 px on the diagonal."""
    return [[float(c), float(c), 10.0, 10.0] for c in corners]


def test_by_hand():
    # Two photos with two lesions each; by falling score: hit, false, hit, false, false, hit.
    lesions = [*spots(0, 50), *({"bbox": box, "image_id": 2} for box in spots(0, 50))]
    boxes, scores = spots(0, 200, 0, 200, 300, 50), [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    found = list(zip(boxes, scores, [1, 1, 2, 2, 2, 2], strict=True))
    matches = match_lesions(lesions, found, num_photos=2)
    curve = froc(matches)
    assert curve.scores.tolist() == scores
    assert curve.false_positives.tolist() == [0, 0.5, 0.5, 1, 1.5, 1.5]
    assert curve.sensitivity.tolist() == [0.25, 0.25, 0.5, 0.5, 0.5, 0.75]
    # At 1/8 and 1/4: only the first; at 1/2 and 1: two; at 2, 4, 8: all there is.
    assert curve.points == FALSE_POSITIVES_PER_PHOTO
    assert curve.at_points == (0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75)
    assert curve.thresholds == (0.9, 0.9, 0.7, 0.6, 0.4, 0.4, 0.4)
    assert curve.score == pytest.approx(3.75 / 7)

    # Equal scores come together.
    found = [(box, 0.9) for box in spots(0, 200)]
    curve = froc(match_lesions(spots(0), found), points=[0.5, 1.0])
    assert curve.sensitivity.tolist() == [1]
    assert curve.at_points == (0, 1)  # the hit cannot be had without the false one
    assert curve.thresholds == (None, 0.9)


def test_a_lesion_is_hit_once_and_a_crowd_excuses():
    lesion = spots(0)[0]
    matches = match_lesions([lesion, *spots(50)], [(lesion, 0.9), (lesion, 0.8)])
    for rule in ("iou", "centre"):
        ignored = froc(matches, rule=rule)
        assert ignored.sensitivity.tolist() == [0.5]
        assert ignored.false_positives.tolist() == [0]
        false = froc(matches, rule=rule, duplicates="false")
        assert false.sensitivity.tolist() == [0.5, 0.5]
        assert false.false_positives.tolist() == [0, 1]
    # And a crowd excuses what lies in it.
    lesions = [{"bbox": [0, 0, 100, 100], "iscrowd": 1}, [200, 200, 10, 10]]
    matches = match_lesions(lesions, [([20, 20, 10, 10], 0.9)])
    for rule in ("iou", "centre"):
        assert froc(matches, rule=rule).false_positives.tolist() == []


@pytest.mark.parametrize(
    ("box", "options", "score"),
    [
        ([4, 4, 2, 2], {"rule": "iou"}, 0),  # a small box that points at the lesion
        ([4, 4, 2, 2], {"rule": "centre"}, 1),
        ([0, 0, 10, 4], {"iou": 0.3}, 1),
        ([0, 0, 10, 4], {"iou": 0.5}, 0),
        ([300, 300, 10, 10], {"rule": "iou"}, 0),
        ([300, 300, 10, 10], {"rule": "centre"}, 0),
    ],
)
def test_what_counts_as_a_hit_is_an_option(box, options, score):
    matches = match_lesions(spots(0), [(box, 0.9)], iou_thresholds=[0.3, 0.5])
    curve = froc(matches, **options)
    assert (curve.score, curve.false_positives.tolist()) == (score, [1 - score])


def slow_reference(content: dict, results: list[dict], threshold: float, radius: float | None):
    """Count hits and false positives at one threshold, pair by pair, by the centre rule."""
    hits = false = 0
    for image, category in itertools.product(content["images"], content["categories"]):
        mine = {"image_id": image["id"], "category_id": category["id"]}
        lesions = [a["bbox"] for a in content["annotations"] if mine.items() <= a.items()]
        lesions = np.array(lesions).reshape(-1, 4)
        found = [r for r in results if mine.items() <= r.items() and r["score"] >= threshold]
        free = np.ones(len(lesions), dtype=bool)
        for row in sorted(found, key=lambda row: -row["score"]):
            x, y, w, h = row["bbox"]
            offsets = lesions[:, :2] + lesions[:, 2:] / 2 - [x + w / 2, y + h / 2]
            distance = np.hypot(*offsets.T)
            inside = (np.abs(offsets) <= lesions[:, 2:] / 2).all(axis=1)
            near = inside if radius is None else distance <= radius
            if (near & free).any():
                free[np.where(near & free, distance, np.inf).argmin()] = False
                hits += 1
            false += not near.any()
    return false / len(content["images"]), hits / len(content["annotations"])


@pytest.mark.parametrize("radius", [None, 12.0])
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_a_slow_reference(seed, radius):
    content, results = random_set(seed)
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 0
    curve = froc(match_rows(content, results, centre_radius_px=radius), rule="centre")
    assert len(curve.scores) > 5
    reached = [slow_reference(content, results, score, radius) for score in curve.scores]
    assert np.column_stack([curve.false_positives, curve.sensitivity]) == pytest.approx(
        np.array(reached)
    )
    for point, sensitivity in zip(curve.points, curve.at_points, strict=True):
        assert sensitivity == pytest.approx(max((s for f, s in reached if f <= point), default=0))


def test_nothing_found_nothing_to_find_and_unknown_choices():
    silent = froc(match_lesions(spots(0), []))
    assert silent.score == 0
    assert silent.thresholds == (None,) * 7
    matches = match_lesions([], [(spots(0)[0], 0.9)])
    assert froc(matches) is None
    with pytest.raises(ValueError, match=r"rule must be one of .*Received 'dice'"):
        froc(matches, rule="dice")
    with pytest.raises(ValueError, match=r"duplicates must be one of .*Received 'true'"):
        froc(matches, duplicates="true")
