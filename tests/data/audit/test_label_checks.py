"""Names, ids, grades and counts that do not agree."""

import pytest

from acnet.data.audit.checks import check_ids, check_names, check_photo_labels
from tests.data.audit.fake_source import annotated

THREE = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]  # Hayashi's grade 0


def kinds(photo):
    return [finding.kind for finding in check_photo_labels(photo)]


def test_labels_that_agree_are_no_finding():
    photo = annotated("levle0_7.jpg", THREE, grade=0, count=3, declared_hw=(64, 96))
    assert kinds(photo) == []
    assert kinds(annotated("photo.jpg", THREE)) == []


@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        ("size differs", "a.jpg", {"declared_hw": (64, 100)}),
        ("count against boxes", "a.jpg", {"count": 4}),
        ("grade against count", "a.jpg", {"grade": 1, "count": 3}),
        ("grade against count", "a.jpg", {"grade": 1}),  # no count listed: that of the boxes
        ("prefix against grade", "levle2_7.jpg", {"grade": 0, "count": 3}),
        ("prefix against grade", "images/train/levle1_7.jpg", {}),
    ],
)
def test_each_disagreement_has_its_kind(kind, name, fields):
    assert kinds(annotated(name, THREE, **fields)) == [kind]


def test_a_count_of_another_grade_is_two_disagreements():
    # 6 lesions are grade 1; there are 3 boxes, so the count is wrong or boxes are missing.
    assert kinds(annotated(boxes=THREE, grade=0, count=6)) == [
        "count against boxes",
        "grade against count",
    ]


def test_a_turned_photo_is_told_from_another_size():
    (turned,) = check_photo_labels(annotated(boxes=THREE, declared_hw=(96, 64)))
    assert turned.detail == "stated 64x96, decoded 96x64: sides exchanged"


def test_no_boxes_is_news_only():
    (finding,) = check_photo_labels(annotated("levle0_1.jpg", grade=0, count=0))
    assert (finding.kind, finding.severity) == ("no boxes", "info")


def photo_of(name, names):
    return annotated(name, [[i, 0, i + 1, 9] for i in range(len(names))], names=tuple(names))


def test_a_rare_name_beside_a_dominant_one_is_a_stray():
    photos = [photo_of("a.jpg", ["fore"] * 60), photo_of("b.jpg", ["fore"] * 60 + ["cold_sore"])]
    (finding,) = check_names(photos, declared=())
    assert (finding.file_name, finding.number) == ("b.jpg", 1)
    assert finding.detail.startswith("'cold_sore' (1 in all) of 121 objects; ")


def test_very_many_names_of_a_photo_are_one_finding():
    photos = [photo_of("a.jpg", [f"name {i}" for i in range(1000)])]
    (finding,) = check_names(photos, declared=("acne",))
    assert finding.number == 1000
    assert "and 997 more" in finding.detail
    assert len(finding.detail) < 200


def test_two_frequent_names_are_no_strays_nor_is_a_rare_one_that_is_declared():
    photos = [photo_of("a.jpg", ["papule"] * 60 + ["pustule"] * 40)]
    assert list(check_names(photos, declared=())) == []
    photos = [photo_of("a.jpg", ["papule"] * 200 + ["nodule"])]
    assert list(check_names(photos, declared=("papule", "nodule"))) == []
    assert [f.kind for f in check_names(photos, declared=("papule",))] == ["stray class"]
    assert list(check_names([], declared=("papule",))) == []


def test_ids_from_0_and_ids_that_come_twice():
    photos = [
        annotated("a.jpg", THREE, annotation_ids=(0, 1, 2)),
        annotated("b.jpg", THREE, annotation_ids=(2, 2, 5)),
    ]
    one_file = {"train": ["a.jpg", "b.jpg"]}
    zero, twice = check_ids(photos, one_file)
    assert (zero.kind, zero.file_name, zero.number) == ("annotation id 0", "a.jpg", 1)
    assert (twice.kind, twice.file_name) == ("annotation id duplicated", "a.jpg")
    assert (twice.others, twice.detail, twice.number) == (("b.jpg",), "id 2", 2)
    assert list(check_ids([annotated("a.jpg", THREE, annotation_ids=(1, 2, 3))], one_file)) == []
    assert list(check_ids([annotated("a.jpg", THREE)], one_file)) == []


def test_every_file_counts_for_itself():
    photos = [annotated(name, THREE, annotation_ids=(1, 2, 3)) for name in ("a.jpg", "b.jpg")]
    assert list(check_ids(photos, {"train": ["a.jpg"], "test": ["b.jpg"]})) == []
    # As in folds: both photos are in trainval_1, but their ids were given elsewhere.
    folds = {"test_0": ["a.jpg"], "trainval_0": ["b.jpg"], "trainval_1": ["a.jpg", "b.jpg"]}
    assert list(check_ids(photos, folds)) == []
