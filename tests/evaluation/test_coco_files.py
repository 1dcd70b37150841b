"""COCO files: what is read, row by row, and how faults are told."""

import logging

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.evaluation import (
    detections_from_rows,
    ground_truth_from_coco,
    read_ground_truth,
    read_predictions,
)
from acnet.evaluation.result_rows import read_json_rows
from tests.evaluation.coco_content import write


def content_with(b: object = 7, a: object = 3, nodule: object = 9, papule: object = 2) -> dict:
    """Return a COCO file's content with these ids; annotations share one, which means nothing."""
    return {
        "images": [
            {"id": b, "file_name": "b.jpg", "width": 640, "height": 480},
            {"id": a, "file_name": "a.jpg", "width": 100, "height": 200},
        ],
        "categories": [{"id": nodule, "name": "nodule"}, {"id": papule, "name": "papule"}],
        "annotations": [
            {"id": 0, "image_id": b, "category_id": papule, "bbox": [1, 2, 3, 4], "iscrowd": 1},
            {"id": 0, "image_id": a, "category_id": nodule, "bbox": [5, 6, 7.5, 8], "area": 50.5},
            {"id": 0, "image_id": b, "category_id": nodule, "bbox": [0, 0, 1, 1], "difficult": 1},
        ],
    }


TRUTH = content_with()
ROW = {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}


def test_ground_truth_by_hand(tmp_path):
    truth = read_ground_truth(write(tmp_path / "gt.json", TRUTH))
    assert truth.image_ids.tolist() == [3, 7]
    assert truth.file_names == ("a.jpg", "b.jpg")
    assert truth.image_hw.tolist() == [[200, 100], [480, 640]]
    assert truth.category_ids.tolist() == [2, 9]
    assert truth.class_names == ("papule", "nodule")
    assert truth.photo.tolist() == [0, 1, 1]
    assert truth.classes.tolist() == [1, 0, 1]
    assert truth.boxes_xyxy.tolist() == [[5, 6, 12.5, 14], [1, 2, 4, 6], [0, 0, 1, 1]]
    assert truth.areas.tolist() == [50.5, 12, 1]
    assert truth.crowd.tolist() == [False, True, False]
    assert truth.difficult.tolist() == [False, False, True]
    assert truth.counts().tolist() == [1, 1]
    # No annotations, and no predictions.
    truth = ground_truth_from_coco({**TRUTH, "annotations": []})
    assert (len(truth), truth.counts().tolist()) == (0, [0, 0])
    detections = read_predictions(write(tmp_path / "none.json", " [ ] \n"), truth)
    assert (len(detections), truth.boxes_xyxy.shape) == (0, (0, 4))
    assert detections.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("section", "change", "fault"),
    [
        ("images", {"id": "a"}, "id must be a whole number of at most 18 digits, not 'a'"),
        ("categories", {"id": True}, "id must be a whole number of at most 18 digits, not True"),
        ("categories", {"id": 10**400}, "id must be a whole number of at most 18 digits, not 100"),
        ("images", {"id": 3}, "with the id 3 2 times"),
        ("images", {"id": "3"}, "with the id 3 2 times"),
        ("categories", {"name": None}, "name must be text, not None"),
        ("images", {"file_name": 5}, "file_name must be text, not 5"),
        ("images", {"width": 0}, "width must be a positive integer, not 0"),
        ("images", {"height": 1.5}, "height must be a positive integer, not 1.5"),
        ("annotations", {"image_id": 4}, "image_id must be one of the ground truth's ids, not 4"),
        ("annotations", {"category_id": 1}, "category_id must be one of .* ids, not 1"),
        ("annotations", {"bbox": [1, 2, 3, -4]}, "width and height must not be negative"),
        ("annotations", {"bbox": [1, 2, 3, float("nan")]}, "bbox must be four finite numbers"),
        ("annotations", {"iscrowd": 2}, "iscrowd must be 0 or 1, not 2"),
        ("annotations", {"difficult": "no"}, "difficult must be 0 or 1, not 'no'"),
        ("annotations", {"area": -1}, "area must be a finite number of at least 0, not -1"),
        ("annotations", {"area": 10**400}, "area must be a finite number of at least 0, not 100"),
        ("annotations", {"area": None}, "area must be a finite number of at least 0, not None"),
    ],
)
def test_faults_of_ground_truth_name_file_and_place(tmp_path, section, change, fault):
    content = content_with()
    content[section][0].update(change)
    with pytest.raises(UserError, match=rf"gt.json.*{fault}"):
        read_ground_truth(write(tmp_path / "gt.json", content))


@pytest.mark.parametrize("image_ids", [(1, 0), (0, -5), ("8", 0.0)])
@pytest.mark.parametrize("category_ids", [(1, 0), ("9", "2")])
def test_images_and_categories_may_have_any_whole_ids(image_ids, category_ids):
    truth = ground_truth_from_coco(content_with(*image_ids, *category_ids))
    assert truth.file_names == ("a.jpg", "b.jpg")
    assert truth.class_names == ("papule", "nodule")
    assert truth.photo.tolist() == [0, 1, 1]
    row = ROW | {"image_id": image_ids[0], "category_id": category_ids[1]}
    detections = detections_from_rows([row], truth)
    assert (detections.photo.tolist(), detections.classes.tolist()) == ([1], [0])


def test_categories_of_one_name_are_one_class(caplog):
    # As Roboflow writes it: the project's name first, then the class, both "acne".
    categories = [{"id": 2, "name": "acne"}, {"id": 9, "name": "acne"}]
    with caplog.at_level(logging.INFO, logger="acnet"):
        truth = ground_truth_from_coco(TRUTH | {"categories": categories})
    assert truth.class_names == ("acne",)
    assert truth.category_ids.tolist() == [9]  # two of the three annotations are of 9
    assert "[2, 9] are all called 'acne'" in caplog.text
    rows = [ROW | {"category_id": category_id} for category_id in (2, 9)]
    assert detections_from_rows(rows, truth).classes.tolist() == [0, 0]


@pytest.mark.parametrize("name", ["images", "categories", "annotations"])
def test_sections_must_be_there(name, tmp_path):
    for broken in ({}, {name: None}, {name: {}}):
        content = {key: TRUTH[key] for key in TRUTH.keys() - {name}} | broken
        with pytest.raises(UserError, match=f"Received ground truth, with no {name}"):
            ground_truth_from_coco(content)
    with pytest.raises(UserError, match="Give the file of annotations, not that of predictions"):
        read_ground_truth(write(tmp_path / "predictions.json", [ROW]))


@pytest.mark.parametrize(
    "text", [b'{"images": ', b"", b"[" * 100_000, b"\xff\xfe", b"[1" + b"0" * 5000 + b"]"]
)
def test_what_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "gt.json"
    for read in (read_ground_truth, lambda path: list(read_json_rows(path))):
        with pytest.raises(UserError, match=r"Received .*gt.json: No such file"):
            read(path)
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"JSON in UTF-8. Received .*gt.json") as error:
        read_ground_truth(path)
    assert len(str(error.value)) < 800
    with pytest.raises(UserError, match=r"JSON list of rows in UTF-8.* Received .*gt.json"):
        list(read_json_rows(path))


def test_boxes_in_shares_of_the_sides_are_refused():
    rows = [{**row, "bbox": [0.1, 0.2, 0.3, 0.4]} for row in TRUTH["annotations"]]
    with pytest.raises(UserError, match=r"within \[0, 1\], .* export them in pixels"):
        ground_truth_from_coco({**TRUTH, "annotations": rows})


OUTLINE = [[10, 10, 40, 10, 40, 30, 10, 30]]


@pytest.mark.parametrize(
    ("forms", "box"),
    [
        ({"bbox": [0, 0, 0, 0], "segmentation": OUTLINE, "area": 0}, [10, 10, 30, 20]),
        ({"bbox": None, "segmentation": OUTLINE}, [10, 10, 30, 20]),
        ({"bbox": [], "segmentation": {"size": [9, 9], "counts": [10, 2, 75]}}, [1, 1, 1, 2]),
        ({"bbox": [10, 10, 30, 20], "attributes": {"rotation": 90}}, [15, 5, 20, 30]),
        ({"bbox": [25, 20, 30, 20, 90]}, [15, 5, 20, 30]),
        ({"bbox": [5, 5, 0, 0], "segmentation": []}, [5, 5, 0, 0]),
        ({"bbox": [0.1, 0.2, 0.7, 0.9], "segmentation": OUTLINE}, [0.1, 0.2, 0.7, 0.9]),
    ],
)
def test_boxes_come_in_the_forms_that_import_reads(forms, box):
    rows = [TRUTH["annotations"][0] | forms]
    truth = ground_truth_from_coco({**TRUTH, "annotations": rows})
    np.testing.assert_allclose(truth.boxes_xywh, [box], atol=1e-9)
    assert forms["bbox"] != box or truth.boxes_xywh.tolist() == [box]  # to the last bit
    np.testing.assert_allclose(truth.areas, box[2] * box[3])


def test_what_has_no_box_in_any_form_is_not_to_be_left_out():
    rows = [{key: value for key, value in TRUTH["annotations"][0].items() if key != "bbox"}]
    with pytest.raises(UserError, match=r"bbox must be .* not None. Correct the row; leave it out"):
        ground_truth_from_coco({**TRUTH, "annotations": rows})
