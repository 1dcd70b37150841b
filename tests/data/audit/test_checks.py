"""Faults of boxes, in a picture of width 96 and height 64."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torchvision.ops import box_iou

from acnet.data.audit.checks import (
    check_boxes,
    check_ids,
    check_names,
    check_photo_labels,
    exact_copies,
    near_copies,
)
from acnet.data.audit.findings import Finding
from acnet.data.clean import faulty_boxes
from tests.data.audit.fake_source import annotated

SOUND = [10, 10, 30, 30]


def found(boxes, **fields):
    return {f.kind: f.number for f in check_boxes(annotated(boxes=boxes, **fields))}


@pytest.mark.parametrize(
    ("kind", "box"),
    [
        ("box not a number", [np.nan, 0, 5, 5]),
        ("box not a number", [0, 0, np.inf, 5]),
        ("box inverted", [20, 5, 10, 9]),
        ("box inverted", [10, 9, 20, 5]),
        ("box without area", [10, 5, 10, 9]),
        ("box without area", [10, 5, 10.005, 9]),  # thinner than coordinates are exact
        ("box outside", [96, 0, 100, 10]),
        ("box outside", [-9, 0, -1, 10]),
        ("box partly outside", [90, 60, 97, 64]),
        ("box partly outside", [-1, -1, 97, 65]),
        *((None, [0, 0, 96, 64]), (None, [-0.004, 3, 7, 9])),  # a rounded coordinate is inside
    ],
)
def test_each_fault_is_found_once_and_named_and_a_sound_box_is_not(kind, box):
    findings = check_boxes(annotated(boxes=[SOUND, box]))
    assert [(f.kind, f.number) for f in findings] == ([(kind, 1)] if kind else [])
    assert all(f.detail.startswith(f"box 2: xyxy {box[0]:g} {box[1]:g} ") for f in findings)


@pytest.mark.filterwarnings("error")
def test_numbers_at_the_end_of_the_range_are_only_outside():
    most = np.finfo(np.float64).max
    assert found([[-most, -most, most, most]]) == {"box partly outside": 1}
    assert found([[most / 2, 0, most, 9]]) == {"box outside": 1}
    assert found([[most, 0, -most, 9]]) == {"box inverted": 1}


def test_no_box_is_two_faults_at_a_time():
    values = [-5.0, 0.0, 10.0, 50.0, 200.0, np.nan]
    boxes = np.array(np.meshgrid(values, values, values, values)).reshape(4, -1).T
    faults = np.stack(list(faulty_boxes(boxes, (64, 96)).values()))
    assert faults.sum(axis=0).max() == 1
    assert faults.any(axis=1).all()


def test_copies_and_near_copies_are_counted_beyond_the_first_and_by_name():
    twice = annotated(boxes=[SOUND, SOUND, SOUND], names=("acne", "acne", "mole"))
    assert exact_copies(twice).tolist() == [False, True, False]
    assert found([SOUND, SOUND, SOUND]) == {"box duplicated": 2}
    # The same place with another name is no copy: one of the names must be wrong.
    names = ("acne", "acne", "mole")
    assert found([SOUND] * 3, names=names) == {"box duplicated": 1, "box with two names": 1}
    # 40 x 40 and 41 x 40 share 1600 of 1640 px: IoU 0.976. 40 x 40 and 43 x 40: 0.930.
    assert found([[0, 0, 40, 40], [0, 0, 41, 40]]) == {"box nearly duplicated": 1}
    assert found([[0, 0, 40, 40], [0, 0, 43, 40]]) == {}
    nan = [np.nan] * 4  # what is none is not compared
    assert found([nan, nan, [5, 5, 5, 5]]) == {"box not a number": 2, "box without area": 1}
    assert found([[np.inf] * 4] * 2) == {"box not a number": 2}


@pytest.mark.parametrize("min_iou", [0.55, 0.8, 0.95])
def test_near_copies_are_those_of_all_pairs(min_iou):
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 40, (150, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 40, (150, 2))], axis=1)
    boxes = np.concatenate([boxes, boxes[::3] + rng.uniform(-0.4, 0.4, (50, 4))])
    all_pairs = np.triu(box_iou(*[torch.from_numpy(boxes)] * 2).numpy() >= min_iou, k=1)
    assert all_pairs.sum() > 40
    assert_array_equal(near_copies(boxes, min_iou), np.argwhere(all_pairs))
    assert near_copies(np.zeros((0, 4)), min_iou).shape == (0, 2)


def test_very_many_boxes_end_and_say_that_they_were_not_compared():
    corners = np.random.default_rng(0).uniform(0, 40, (100_000, 2))
    boxes = np.concatenate([corners, corners + 10], axis=1)
    assert found(boxes) == {"very many boxes": 100_000}


THREE = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]  # Hayashi's grade 0


@pytest.mark.parametrize(
    ("expected", "name", "fields"),
    [
        ([], "levle0_7.jpg", {"grade": 0, "count": 3, "declared_hw": (64, 96)}),
        ([], "photo.jpg", {}),
        (["no boxes"], "levle0_1.jpg", {"grade": 0, "count": 0, "boxes": []}),
        (["size differs"], "a.jpg", {"declared_hw": (64, 100)}),
        (["count against boxes"], "a.jpg", {"count": 4}),
        (["grade against count"], "a.jpg", {"grade": 1, "count": 3}),
        (["grade against count"], "a.jpg", {"grade": 1}),  # no count listed: that of the boxes
        (["prefix against grade"], "levle2_7.jpg", {"grade": 0, "count": 3}),
        (["prefix against grade"], "images/train/levle1_7.jpg", {}),
        # 6 lesions are grade 1; there are 3 boxes, so the count is wrong or boxes are missing.
        (["count against boxes", "grade against count"], "a.jpg", {"grade": 0, "count": 6}),
        (["size differs"], "a.jpg", {"declared_hw": (96, 64)}),
    ],
)
def test_each_disagreement_has_its_kind(expected, name, fields):
    photo = annotated(name, **{"boxes": THREE, **fields})
    findings = list(check_photo_labels(photo))
    assert [finding.kind for finding in findings] == expected
    if fields.get("declared_hw") == (96, 64):  # turned
        assert findings[0].detail == "stated 64x96, decoded 96x64: sides exchanged"


def strays(*photos_names, declared=()):
    photos = [
        annotated(f"{number}.jpg", [SOUND] * len(names), names=tuple(names))
        for number, names in enumerate(photos_names)
    ]
    return [(f.file_name, f.number, f.detail) for f in check_names(photos, declared=declared)]


def test_a_rare_name_beside_a_dominant_one_and_one_that_is_not_declared_are_strays():
    ((name, number, detail),) = strays(["fore"] * 60, ["fore"] * 60 + ["cold_sore"])
    assert (name, number) == ("1.jpg", 1)
    assert detail.startswith("'cold_sore' (1 in all) of 121 objects; ")
    assert strays(["papule"] * 60 + ["pustule"] * 40) == strays(declared=("papule",)) == []
    rare = ["papule"] * 200 + ["nodule"]
    assert strays(rare, declared=("papule", "nodule")) == []
    assert len(strays(rare, declared=("papule",))) == 1
    # Very many names of a photo are one finding.
    ((_, number, detail),) = strays([f"name {i}" for i in range(1000)], declared=("acne",))
    assert (number, "and 997 more" in detail, len(detail) < 200) == (1000, True, True)


def ids(first, second, **splits):
    photos = [
        annotated("a.jpg", THREE, annotation_ids=first),
        annotated("b.jpg", THREE, annotation_ids=second),
    ]
    return list(check_ids(photos, splits))


def test_ids_from_0_and_ids_that_come_twice_in_a_file():
    zero, twice = ids((0, 1, 2), (2, 2, 5), train=["a.jpg", "b.jpg"])
    assert zero == Finding("annotation id 0", "a.jpg", number=1)
    assert twice == Finding("annotation id duplicated", "a.jpg", "id 2", 2, ("b.jpg",))
    assert ids((1, 2, 3), (), train=["a.jpg", "b.jpg"]) == []
    assert ids((1, 2, 3), (1, 2, 3), train=["a.jpg"], test=["b.jpg"]) == []
    # As in folds: both photos are in trainval_1, but their ids were given elsewhere.
    folds = {"test_0": ["a.jpg"], "trainval_0": ["b.jpg"], "trainval_1": ["a.jpg", "b.jpg"]}
    assert ids((1, 2, 3), (1, 2, 3), **folds) == []
