"""COCO files: where pictures are, ids of every sort, boxes of polygons, and hostile content."""

import json
import math

import numpy as np
import pytest

from acnet.data.readers.coco_json import BAD_ENTRY, CONTRADICTS, LOST, RENUMBERED, SHARED_ID, TWICE
from acnet.data.readers.coco_set import DIFFERS, LEAVES, open_coco
from acnet.errors import UnreadableFileError, UserError
from acnet.evaluation.box_forms import box_of
from tests.data.small_sets import BOXES, NAMES, coco, coco_content, picture, write


def one_file(tmp_path, content, name="annotations.json"):
    """The set of four pictures beside one JSON file."""
    for stem in NAMES:
        write(tmp_path / f"{stem}.jpg", picture())
    write(tmp_path / name, json.dumps(content))
    return tmp_path / name


def kinds(source):
    return {note.kind: note.count for note in source.notes}


def test_roboflows_export(tmp_path):
    coco(tmp_path)
    source = open_coco(tmp_path)
    train, valid = ("train/a.jpg", "train/b.jpg"), ("valid/c.jpg", "valid/d.jpg")
    assert source.splits == {"train": train, "valid": valid}
    photo = source.read("train/a.jpg")
    assert photo.names == source.class_names == ("acne", "scar")
    assert photo.boxes_xyxy.tolist() == [list(box) for box in BOXES]
    assert photo.crowd.tolist() == [False, True]
    assert photo.declared_hw == photo.image_hw
    assert source.unlisted == []


@pytest.mark.parametrize(
    ("json_name", "folder"),
    [
        ("a.json", ""),
        ("annotations/train.json", "train/"),
        ("annotations/train.json", "images/train/"),
        ("annotations/instances_train.json", "train/"),
        ("annotations/train.json", "images/"),
        ("annotations/train.json", ""),
        ("train/labels.json", "train/images/"),
    ],
)
def test_pictures_are_found(tmp_path, json_name, folder):
    write(tmp_path / folder / "a.jpg", picture())
    write(tmp_path / json_name, json.dumps(coco_content(("a",))))
    source = open_coco(tmp_path)
    ((split, names),) = source.splits.items()
    assert split == json_name.rpartition("/")[2].removeprefix("instances_")[: -len(".json")]
    assert names == (f"{folder}a.jpg",)
    assert len(source.read(names[0]).names) == 2


def test_ids_are_noted_and_do_not_matter_and_pictures_may_be_elsewhere(tmp_path):
    content = coco_content(("a",))
    first, second = content["annotations"]
    extra = [{**second, "id": 1}, {**second, "id": None}, {**second, "image_id": 0.0, "id": "x"}]
    content["annotations"] = [first, second, *extra]
    source = open_coco(one_file(tmp_path / "x", content), image_root=tmp_path)
    assert source.splits == {"annotations": ("x/a.jpg",)}  # below the folder of the pictures
    assert kinds(source) == {RENUMBERED: 4}  # 0, 1 again, null and a word
    assert source.read("x/a.jpg").annotation_ids == (0, 1, 1, -1, -1)


def test_pictures_of_one_id_or_of_names_that_lead_elsewhere_and_objects_of_none(tmp_path):
    content = coco_content(("a", "b", "c"))
    content["images"][1]["id"] = 0  # a and b cannot be told apart
    content["images"] += [{"id": 9, "file_name": "c.jpg"}, {"file_name": "d.jpg"}, 5]
    elsewhere = ("../secret.jpg", "/etc/passwd", "C:\\z.jpg", "\ud800.jpg")
    content["images"] += [{"id": i, "file_name": name} for i, name in enumerate(elsewhere, 10)]
    source = open_coco(one_file(tmp_path, content))
    assert source.splits == {"annotations": ("c.jpg",)}
    assert kinds(source) == {SHARED_ID: 2, TWICE: 1, BAD_ENTRY: 2, LOST: 4, LEAVES: 4}
    assert len(source.read("c.jpg").names) == 2


@pytest.mark.parametrize("value", [1, True, "1", "true", "True ", 1.0])
def test_flags_are_set_in_every_spelling(tmp_path, value):
    content = coco_content(("a",))
    content["annotations"][0]["iscrowd"] = content["annotations"][1]["difficult"] = value
    content["annotations"][1]["iscrowd"] = content["annotations"][0]["difficult"] = "false"
    photo = open_coco(one_file(tmp_path, content)).read("a.jpg")
    assert (photo.crowd.tolist(), photo.difficult.tolist()) == ([True, False], [False, True])


def test_categories_of_any_id_and_those_that_only_group(tmp_path):
    content = coco_content(("a",))
    content["categories"] = [
        {"id": 0, "name": "lesions", "supercategory": "none"},  # as Roboflow writes it
        {"id": "p", "name": "papule", "supercategory": "lesions"},
        {"id": 900, "name": "scar", "supercategory": "lesions"},
        {"id": 900, "name": "twice"},
        None,
    ]
    content["annotations"][0]["category_id"] = "p"
    content["annotations"][1]["category_id"] = 7  # that nobody declares
    source = open_coco(one_file(tmp_path, content))
    assert source.class_names == ("scar", "papule")
    assert source.read("a.jpg").names == ("papule", "7")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"bbox": [1, 2, 3, 4.5]}, (1, 2, 4, 6.5)),
        ({"bbox": ["1", "2", 3, 4]}, (1, 2, 4, 6)),
        ({"bbox": [10, 10, -4, 2]}, (10, 10, 6, 12)),
        ({"segmentation": [[1, 2, 5, 2, 5, 8]]}, (1, 2, 5, 8)),
        ({"segmentation": [[1, 2, 3, 4], [9, 0, 2, 2]], "bbox": []}, (1, 0, 9, 4)),
        ({"segmentation": [1, 2, 5, 8]}, (1, 2, 5, 8)),
        ({"bbox": [0, 0, 0, 0], "segmentation": [[50, 60, 90, 60, 90, 90]]}, (50, 60, 90, 90)),
        ({"bbox": [70, 75, 40, 30, 0]}, (50, 60, 90, 90)),  # detectron2's turned box
        ({"bbox": [70, 75, 30, 40, 90]}, (50, 60, 90, 90)),
        ({"bbox": [55, 55, 30, 40], "attributes": {"rotation": 90}}, (50, 60, 90, 90)),  # CVAT's
        ({"bbox": [50, 60, 40, 30], "attributes": {"rotation": 0.0}}, (50, 60, 90, 90)),
    ],
)
def test_boxes(entry, expected):
    np.testing.assert_allclose(box_of(entry), expected)


NO_MASKS = ("abc", "", "\x00", "o" * 99, [-1, 5], [1e400], ["x"], [2**70] * 3, None)


@pytest.mark.parametrize(
    "entry",
    [
        *({}, {"bbox": None}, {"bbox": [1, 2, 3]}, {"bbox": "1234"}, {"bbox": [None] * 4}),
        *({"bbox": [10**400, 0, 1, 1]}, {"bbox": [{}, [], True, "x"]}, {"segmentation": [[]]}),
        *({"segmentation": [[1]]}, {"segmentation": [[math.nan, 1, 2, 3]]}),
        *({"segmentation": {"counts": counts, "size": [10, 10]}} for counts in NO_MASKS),
    ],
)
def test_what_is_no_box_is_nan(entry):
    assert np.isnan(box_of(entry)).any()


@pytest.mark.parametrize(
    "content", [[], 5, "images", {}, {"images": [], "annotations": {}}, {"images": 1}]
)
def test_other_json_is_refused_by_name(tmp_path, content):
    with pytest.raises(UserError, match="which holds none"):
        open_coco(tmp_path)
    with pytest.raises(UnreadableFileError, match=r"annotations\.json.*Give a file of that form"):
        open_coco(one_file(tmp_path, content))


def test_entries_of_any_type(tmp_path):
    odd = [None, [], "x", 3, {"id": []}, {"id": {}, "file_name": "a.jpg"}, {"id": True}]
    odd += [{"image_id": []}, {"image_id": math.nan}, {"image_id": 10**400}]
    content = {"images": odd, "annotations": odd, "categories": odd}
    source = open_coco(one_file(tmp_path, content))
    assert source.splits == {"annotations": ()}
    assert kinds(source) == {BAD_ENTRY: len(odd) + 4, LOST: 6}


def test_folds_share_pictures(tmp_path):
    one_file(tmp_path, coco_content(), "fold_0.json")
    changed = coco_content()
    changed["annotations"][0]["bbox"] = [0, 0, 1, 1]
    one_file(tmp_path, changed, "fold_1.json")
    source = open_coco(tmp_path)
    assert source.splits["fold_0"] == source.splits["fold_1"]
    assert kinds(source)[DIFFERS] == 1
    assert source.read("a.jpg").boxes_xyxy[0].tolist() == list(BOXES[0])


@pytest.mark.parametrize("other", ["images/A.JPG", ".\\a.jpg", "a.jpg"])
def test_a_picture_listed_in_two_spellings_has_the_objects_of_both(tmp_path, other):
    content = coco_content(("a", "b"))
    content["images"][1]["file_name"] = other
    write(tmp_path / "images" / "a.jpg", picture())
    write(tmp_path / "train.json", json.dumps(content))
    source = open_coco(tmp_path)
    photo = source.read("images/a.jpg")
    assert photo.boxes_xyxy.tolist() == [list(box) for box in BOXES * 2]
    assert photo.crowd.tolist() == [False, True] * 2
    assert kinds(source) == {RENUMBERED: 1, TWICE: 1}


def test_captions_beside_boxes_are_left_out(tmp_path):
    one_file(tmp_path, coco_content(), "instances_val.json")
    one_file(tmp_path, {"images": [], "annotations": [{"caption": "x"}]}, "captions_val.json")
    write(tmp_path / "package.json", "{}")
    source = open_coco(tmp_path)
    assert list(source.splits) == ["val"]
    assert source.inputs == [tmp_path / "instances_val.json"]


def test_a_file_name_beside_the_id_counts_and_contradictions_are_noted(tmp_path):
    content = coco_content(("a", "b"))
    names = ("A.jpg", "b.jpg", "z.jpg", "b.jpg")  # the first two have the id of a.jpg
    for entry, name in zip(content["annotations"], names, strict=True):
        entry["file_name"] = name
    source = open_coco(one_file(tmp_path, content))
    assert [len(source.read(name).names) for name in ("a.jpg", "b.jpg")] == [1, 3]
    assert kinds(source)[CONTRADICTS] == 1
