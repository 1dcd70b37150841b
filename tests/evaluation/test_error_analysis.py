"""TIDE's kinds of errors, each alone by hand, and together."""

import pytest

from acnet.evaluation import error_parts, precision_recall
from tests.evaluation.coco_content import content_of, match_rows, row_of
from tests.evaluation.random_sets import random_set

A, B, FAR = [0.0, 0.0, 20.0, 20.0], [100.0, 0.0, 20.0, 20.0], [300.0, 300.0, 20.0, 20.0]
SHIFTED = [0.0, 0.0, 20.0, 8.0]  # IoU 0.4 with A
HALF = 100 * 51 / 101  # of two lesions one is found: the recalls 0.00 to 0.50


def parts_of(lesions: list[tuple], found: list[tuple], *, num_classes: int) -> dict:
    """Compute the parts for (XYWH box, class) and (XYWH box, score, class) in one photo."""
    annotations = [{"bbox": box, "category_id": k + 1} for box, k in lesions]
    content = content_of(annotations, class_names=[f"class {k}" for k in range(num_classes)])
    return error_parts(match_rows(content, [row_of(box, s, 1, k + 1) for box, s, k in found]))


@pytest.mark.parametrize(
    ("lesions", "found", "kind", "gain"),
    [
        ([A, B], [(A, 0.9), (B, 0.8)], "missed", 0),
        # B is right; A is found with an IoU of 0.4: moved there, AP is 100. Before, of two
        # detections the second is wrong, and its lesion is not missed, since it is within reach.
        ([A, B], [(B, 0.9), (SHIFTED, 0.8)], "localisation", 100 - HALF),
        # A lesion can be localised once: the better of the two is right and the other is gone.
        ([A], [(SHIFTED, 0.9), (SHIFTED, 0.8)], "localisation", 100),
        # Right, double, right: precision 1, then 2/3 from recall 0.51 on; without the double 1.
        ([A, B], [(A, 0.9), (A, 0.8), (B, 0.7)], "duplicate", 100 * 50 / 101 / 3),
        ([A], [(FAR, 0.9), (A, 0.8)], "background", 50),
        ([A, B], [(A, 0.9)], "missed", 100 - HALF),
        ([A], [], "missed", 100),
    ],
)
def test_one_kind_alone(lesions, found, kind, gain):
    parts = parts_of([(box, 0) for box in lesions], [(*one, 0) for one in found], num_classes=1)
    none = dict.fromkeys(("localisation", "duplicate", "background", "missed"), 0.0)
    assert parts == pytest.approx(none | {kind: gain})


@pytest.mark.parametrize(
    ("box", "gains"),
    [
        # Class 0 has A, found as class 1; class 1 has B, found rightly below it. AP is 0 for class
        # 0 and 1/2 for class 1; with the class corrected both are 1.
        (A, {"class": 75}),
        # The same with an IoU of 0.4: it can only be removed, and A is missed.
        (SHIFTED, {"class and localisation": 25, "missed": 50}),
    ],
)
def test_a_wrong_class(box, gains):
    parts = parts_of([(A, 0), (B, 1)], [(box, 0.9, 1), (B, 0.8, 1)], num_classes=2)
    assert {kind: gain for kind, gain in parts.items() if gain} == pytest.approx(gains)
    assert len(parts) == 6


def test_a_found_lesion_needs_no_localising_and_without_lesions_there_are_no_parts():
    # Corrected, the wrong one is gone: of two lesions one is found at precision 1 instead of 1/2.
    parts = parts_of([(A, 0), (B, 0)], [(SHIFTED, 0.9, 0), (A, 0.8, 0)], num_classes=1)
    assert parts["localisation"] == pytest.approx(HALF / 2)
    assert parts_of([], [(A, 0.9, 0)], num_classes=1) == {}


@pytest.mark.parametrize("seed", range(10))
def test_gains_are_never_negative_and_ap_is_the_curves(seed):
    matches = match_rows(*random_set(seed, num_classes=1))
    parts = error_parts(matches)
    assert min(parts.values()) >= 0
    assert max(parts.values()) + precision_recall(matches).ap <= 100 + 1e-9
