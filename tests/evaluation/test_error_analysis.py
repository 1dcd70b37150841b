"""TIDE's kinds of errors, each alone by hand, and together."""

import pytest

from acnet.evaluation import (
    detections_from_rows,
    error_parts,
    ground_truth_from_coco,
    match,
    precision_recall,
)
from tests.evaluation.random_sets import random_set

A, B, FAR = [0.0, 0.0, 20.0, 20.0], [100.0, 0.0, 20.0, 20.0], [300.0, 300.0, 20.0, 20.0]
SHIFTED = [0.0, 0.0, 20.0, 8.0]  # IoU 0.4 with A
HALF = 100 * 51 / 101  # of two lesions one is found: the recalls 0.00 to 0.50


def parts_of(lesions: list[tuple], found: list[tuple], *, num_classes: int = 1) -> dict:
    """Compute the parts for (class, XYWH box) and (class, XYWH box, score) in one photo."""
    ground_truth = ground_truth_from_coco(
        {
            "images": [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 640}],
            "categories": [{"id": k + 1, "name": f"class {k}"} for k in range(num_classes)],
            "annotations": [
                {"id": i, "image_id": 1, "category_id": k + 1, "bbox": box}
                for i, (k, box) in enumerate(lesions, start=1)
            ],
        }
    )
    rows = [
        {"image_id": 1, "category_id": k + 1, "bbox": box, "score": score}
        for k, box, score in found
    ]
    return error_parts(match(ground_truth, detections_from_rows(rows, ground_truth)))


def only(kind: str, gain: float) -> dict:
    """Return the parts of one class with a gain for one kind alone."""
    parts = dict.fromkeys(("localisation", "duplicate", "background", "missed"), 0.0)
    return pytest.approx(parts | {kind: gain})


def test_no_error():
    assert parts_of([(0, A), (0, B)], [(0, A, 0.9), (0, B, 0.8)]) == only("missed", 0)


def test_localisation_alone():
    # B is right; A is found with an IoU of 0.4: moved there, AP is 100. Before, of two detections
    # the second is wrong, and its lesion is not missed, since it is within reach.
    parts = parts_of([(0, A), (0, B)], [(0, B, 0.9), (0, SHIFTED, 0.8)])
    assert parts == only("localisation", 100 - HALF)


def test_a_lesion_can_be_localised_once():
    # Corrected, the better of the two is right and the other is gone.
    parts = parts_of([(0, A)], [(0, SHIFTED, 0.9), (0, SHIFTED, 0.8)])
    assert parts == only("localisation", 100)


def test_a_lesion_that_is_found_needs_no_localising():
    # Corrected, the wrong one is gone: of two lesions one is found at precision 1 instead of 1/2.
    parts = parts_of([(0, A), (0, B)], [(0, SHIFTED, 0.9), (0, A, 0.8)])
    assert parts["localisation"] == pytest.approx(HALF / 2)


def test_duplicate_alone():
    # Right, double, right: precision 1, then 2/3 from recall 0.51 on; without the double 1.
    parts = parts_of([(0, A), (0, B)], [(0, A, 0.9), (0, A, 0.8), (0, B, 0.7)])
    assert parts == only("duplicate", 100 * 50 / 101 / 3)


def test_background_alone():
    parts = parts_of([(0, A)], [(0, FAR, 0.9), (0, A, 0.8)])
    assert parts == only("background", 50)


def test_missed_alone():
    assert parts_of([(0, A), (0, B)], [(0, A, 0.9)]) == only("missed", 100 - HALF)
    assert parts_of([(0, A)], []) == only("missed", 100)


def test_class_alone():
    # Class 0 has A, found as class 1; class 1 has B, found rightly below it. AP is 0 for class 0
    # and 1/2 for class 1; with the class corrected both are 1.
    parts = parts_of([(0, A), (1, B)], [(1, A, 0.9), (1, B, 0.8)], num_classes=2)
    assert parts.pop("class") == pytest.approx(75)
    assert set(parts.values()) == {0.0}


def test_class_and_localisation_alone():
    # As before, but with an IoU of 0.4: it can only be removed, and A is missed.
    parts = parts_of([(0, A), (1, B)], [(1, SHIFTED, 0.9), (1, B, 0.8)], num_classes=2)
    assert parts.pop("class and localisation") == pytest.approx(25)
    assert parts.pop("missed") == pytest.approx(50)
    assert set(parts.values()) == {0.0}


def test_without_lesions_there_are_no_parts():
    assert parts_of([], [(0, A, 0.9)]) == {}


@pytest.mark.parametrize("seed", range(10))
def test_gains_are_never_negative_and_ap_is_the_curves(seed):
    content, results = random_set(seed, num_classes=1)
    ground_truth = ground_truth_from_coco(content)
    matches = match(ground_truth, detections_from_rows(results, ground_truth))
    parts = error_parts(matches)
    assert min(parts.values()) >= 0
    assert max(parts.values()) + precision_recall(matches).ap <= 100 + 1e-9
