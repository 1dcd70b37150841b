"""Twins: groups, what straddles parts, and labels that differ."""

import networkx
import numpy as np
import pytest

from acnet.data.audit.examination import HASH_BITS, Looks, Photo
from acnet.data.audit.findings import Finding
from acnet.data.audit.twins import (
    Leak,
    Twins,
    check_twins,
    connected,
    disjoint_splits,
    find_twins,
    shared_photos,
    straddling,
    twin_groups,
)
from tests.data.audit.fake_source import annotated

BOX = [[0, 0, 9, 9]]
TWO = [[0, 0, 9, 9], [20, 0, 29, 9]]


def photo(name, sha256, look=None, boxes=BOX, **fields):
    """A photo that looks like those of the same `look`, and like no others."""
    looks = None
    if look is not None:
        rng = np.random.default_rng(look)
        bits = rng.random(HASH_BITS) < 0.5
        looks = Looks(bits, rng.random(HASH_BITS) < 0.5, rng.integers(0, 256, (32, 32), np.uint8))
    return Photo(name, (), sha256, 1, looks, annotated(name, boxes, **fields))


def findings(photos, splits):
    found = check_twins(find_twins(photos), photos, splits)
    return {finding.kind: finding for finding in found}


def test_identical_files_and_near_copies_are_told_apart():
    photos = [photo("a.jpg", "1", 1), photo("b.jpg", "1", 1)]
    photos += [photo("c.jpg", "2", 1), photo("d.jpg", "3", 2)]
    same, near = find_twins(photos)
    assert (same.file_names, same.identical) == (("a.jpg", "b.jpg"), True)
    assert (near.file_names, near.identical) == (("a.jpg", "b.jpg", "c.jpg"), False)
    assert near.pairs == (("a.jpg", "c.jpg"), ("b.jpg", "c.jpg"))
    assert near.detail == "at most 0 of 64 bits differ, correlation at least 1.000"
    assert twin_groups(photos) == [("a.jpg", "b.jpg", "c.jpg")]


def test_unreadable_photos_are_compared_by_their_bytes_and_missing_ones_not_at_all():
    photos = [photo("a.jpg", "1"), photo("b.jpg", "1"), photo("c.jpg", ""), photo("d.jpg", "")]
    assert [group.file_names for group in find_twins(photos)] == [("a.jpg", "b.jpg")]
    assert find_twins([]) == []


def test_a_twin_in_training_and_in_test_straddles_and_two_in_one_part_do_not():
    photos = [photo("a.jpg", "1"), photo("b.jpg", "1")]
    apart = findings(photos, {"train": ["a.jpg"], "test": ["b.jpg"]})
    assert set(apart) == {"identical photos", "identical across parts"}
    told = "a.jpg in train, b.jpg in test"
    leak = Finding("identical across parts", "a.jpg", told, others=("b.jpg",))
    assert (apart[leak.kind], leak.severity) == (leak, "error")
    assert set(findings(photos, {"train": ["a.jpg", "b.jpg"], "test": []})) == {"identical photos"}


def test_the_photo_of_the_weaker_part_is_the_one_to_leave_it():
    group = Twins(("a.jpg", "b.jpg", "c.jpg"), (), True)
    members = {"train": {"c.jpg"}, "valid": {"a.jpg"}, "test": {"b.jpg"}}
    assert set(straddling(group, members)) == {
        Leak("c.jpg", "train", "a.jpg", "valid"),
        Leak("c.jpg", "train", "b.jpg", "test"),
        Leak("a.jpg", "valid", "b.jpg", "test"),
    }
    # Near twins leak only to those that they look like, as a is like b, and b like c.
    group = Twins(("a.jpg", "b.jpg", "c.jpg"), (("a.jpg", "b.jpg"), ("b.jpg", "c.jpg")), False)
    members = {"train": {"a.jpg", "b.jpg"}, "test": {"c.jpg"}}
    assert [leak.file_name for leak in straddling(group, members)] == ["b.jpg"]


def test_a_photo_that_two_parts_list():
    leaks = shared_photos({"train": ["a.jpg", "b.jpg"], "test": ["b.jpg"], "all": ["a.jpg"]})
    assert [str(leak) for leak in leaks] == ["b.jpg in train, b.jpg in test"]


@pytest.mark.parametrize(
    ("second", "detail"),
    [
        (photo("b.jpg", "1", boxes=TWO), None),
        (photo("b.jpg", "1", boxes=TWO[::-1]), None),  # the order of boxes is no difference
        (Photo("b.jpg", sha256="1"), None),  # nobody annotated it
        (photo("b.jpg", "1", boxes=[[0, 0, 9, 8], TWO[1]]), "other boxes or names"),
        (photo("b.jpg", "1", boxes=TWO, names=("mole", "acne")), "other boxes or names"),
        (photo("b.jpg", "1", boxes=BOX), "2 and 1 boxes"),
        (photo("b.jpg", "1", boxes=TWO, grade=2), "grades 0 and 2"),
    ],
)
def test_identical_photos_whose_labels_differ(second, detail):
    photos = [photo("a.jpg", "1", boxes=TWO), second]
    found = findings(photos, {}).get("twins labelled differently")
    assert (found and found.detail) == detail


def test_boxes_of_near_twins_may_move_with_the_picture_but_not_vanish():
    moved = [photo("a.jpg", "1", 1), photo("b.jpg", "2", 1, boxes=[[5, 5, 14, 14]])]
    assert set(findings(moved, {})) == {"nearly identical photos"}
    gone = [photo("a.jpg", "1", 1), photo("b.jpg", "2", 1, boxes=[])]
    assert findings(gone, {})["twins labelled differently"].detail == "1 and 0 boxes"


def test_connected_groups_are_the_components_of_the_graph():
    rng = np.random.default_rng(0)
    edges = [(f"{a:02d}", f"{b:02d}") for a, b in rng.integers(0, 60, (35, 2)).tolist()]
    components = networkx.connected_components(networkx.Graph(edges))
    assert connected(edges) == sorted(tuple(sorted(c)) for c in components if len(c) > 1)
    assert connected([]) == []
    assert connected([("a", "a")]) == []


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (["train"], []),
        ([], []),
        (["all", "train"], []),
        (["test", "train", "valid"], [("train", "test"), ("train", "valid"), ("valid", "test")]),
        (["Test", "Training"], [("Training", "Test")]),
        # the folds of ACNE04: only the same fold's lists
        (["trainval_0", "test_0", "trainval_1"], [("trainval_0", "test_0")]),
        (["train2017", "val2017"], [("train2017", "val2017")]),
        (["train_fold1", "val_fold1", "val_fold2"], [("train_fold1", "val_fold1")]),
        # the role is a word of the name; folds differ in another word or number
        (
            ["train_annotations", "test_annotations"],
            [("train_annotations", "test_annotations")],
        ),
        (["acne.valid", "acne.test"], [("acne.valid", "acne.test")]),
        (["left_train", "left_test", "right_train"], [("left_train", "left_test")]),
        (["fold_1_train", "fold_1_test", "fold_2_test"], [("fold_1_train", "fold_1_test")]),
        (["train_cleaned", "test"], [("train_cleaned", "test")]),
        (["train_test", "test", "contest"], []),
        # VOC: trainval is train and val together
        (["train", "val", "trainval"], [("train", "val")]),
    ],
)
def test_pairs_are_weaker_and_stronger(splits, expected):
    assert disjoint_splits(splits) == expected
