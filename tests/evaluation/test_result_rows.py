"""Predictions row by row: ids and names, how faults are told, and that little is in memory."""

import itertools
import json

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.evaluation import (
    detections_from_rows,
    ground_truth_from_coco,
    read_predictions,
    result_rows,
)
from acnet.evaluation.result_rows import read_json_rows
from tests.evaluation.coco_content import write
from tests.evaluation.random_sets import random_set
from tests.evaluation.test_coco_files import ROW, TRUTH


@pytest.fixture
def truth():
    return ground_truth_from_coco(TRUTH)  # a.jpg has the id 3, b.jpg 7


def test_predictions_by_hand(tmp_path, truth):
    rows = [
        ROW,
        ROW | {"image_id": 3, "score": 1},
        ROW | {"category_id": 9, "score": 0.7, "segmentation": {"counts": "[,]}"}},
    ]
    path = write(tmp_path / "predictions.json", json.dumps(rows, indent=2))
    detections = read_predictions(path, truth)
    assert detections.photo.tolist() == [0, 1, 1]
    assert detections.classes.tolist() == [0, 1, 0]
    assert detections.scores.tolist() == [1, 0.7, 0.5]
    assert detections.boxes_xywh.tolist() == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize("read_bytes", [1, 7, 2**20])
def test_reading_in_chunks_gives_the_same_rows(tmp_path, monkeypatch, read_bytes):
    monkeypatch.setattr(result_rows, "READ_BYTES", read_bytes)
    content, results = random_set(0)
    truth = ground_truth_from_coco(content)
    from_file = read_predictions(write(tmp_path / "predictions.json", results), truth)
    in_memory = detections_from_rows(results, truth)
    assert len(in_memory) > 40
    for name in ("photo", "classes", "boxes_xywh", "scores"):
        assert np.array_equal(getattr(from_file, name), getattr(in_memory, name))


def test_neither_file_nor_row_is_in_memory_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(result_rows, "READ_BYTES", 100)
    rows = read_json_rows(write(tmp_path / "cut_off.json", "[" + '{"a": 1}, ' * 1000))
    assert sum(1 for _ in itertools.islice(rows, 1000)) == 1000  # before its end is looked at
    with pytest.raises(UserError, match="row 1000"):
        next(rows)
    monkeypatch.setattr(result_rows, "LONGEST_ROW_BYTES", 500)
    with pytest.raises(UserError, match=r"row 0 from 0: it is .* longer than 4 MiB"):
        list(read_json_rows(write(tmp_path / "long.json", '["' + "x" * 1000 + '"]')))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", r"row 0 from 0: it does not start with \["),
        ('{"item": [{}]}', r"row 0 from 0: it does not start with \["),
        ('[{"a": 1}', "row 1 from 0: parse error: premature EOF"),
        ('[{"a": 1} {"a": 1}]', "row 1 from 0: parse error: after array element"),
        ('[{"a": 1}] x', "row 1 from 0: parse error: trailing garbage"),
        ("[NaN]", "row 0 from 0: lexical error.* NaN is no number of JSON"),
        ("[1" + "0" * 5000 + "]", "row 0 from 0: parse error: integer overflow"),
        ("[" * 100_000, "row 0 from 0: it is nested too deeply"),
        ('[{"a":' * 100_000, "row 0 from 0: it is nested too deeply"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, fault):
    path = write(tmp_path / "predictions.json", text)
    with pytest.raises(UserError, match=f"predictions.json, {fault}"):
        list(read_json_rows(path))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image_id": "a"}, "image_id must be one of the ground truth's ids, not 'a'"),
        ({"image_id": True}, "image_id must be one of the ground truth's ids, not True"),
        ({"image_id": [7]}, r"image_id must be one of the ground truth's ids, not \[7\]"),
        ({"category_id": 1}, "category_id must be one of the ground truth's ids, not 1"),
        ({"file_name": 7}, "file_name must be text, not 7"),
        ({"bbox": [1, 2, 3]}, "bbox must be four finite numbers"),
        ({"bbox": None}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, "3", 4]}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, 1e10, 4]}, "bbox must be four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "width and height must not be negative"),
        ({"score": None}, "score must be a finite number, not None"),
        ({"score": True}, "score must be a finite number, not True"),
        ({"bbox": [1, 2, 10**400, 4]}, "parse error: integer overflow|bbox must be four finite"),
        ({"score": 1e999}, "lexical error|score must be a finite number"),
        ({"bbox": [1, 2, float("nan"), 4]}, "lexical error|bbox must be four finite numbers"),
        (5, "it must be an object, not 5"),
    ],
)
def test_faults_of_a_row_in_a_file_or_in_memory_name_the_row(tmp_path, truth, change, fault):
    rows = [ROW, ROW, ROW | change if isinstance(change, dict) else change]
    with pytest.raises(UserError, match=f"predictions.json, row 2 from 0: ({fault})"):
        read_predictions(write(tmp_path / "predictions.json", rows), truth)
    with pytest.raises(UserError, match=f"predictions, row 2 from 0: .*({fault})"):
        detections_from_rows(rows, truth)


def named(file_name, image_id=None, **changes):
    """Return a row that has the name of its photo."""
    row = ROW | {"file_name": file_name, "image_id": image_id} | changes
    return {key: value for key, value in row.items() if value is not None}


def test_a_file_name_counts_more_than_an_id(truth, caplog):
    # Ultralytics writes the number in the file's name as image_id, whatever the ground truth says.
    rows = [named("b.jpg", 3), named("a.jpg", 7), named("a.jpg", 3), ROW | {"image_id": 3}]
    detections = detections_from_rows(rows, truth, source="p.json")
    assert detections.photo.tolist() == [0, 0, 0, 1]
    assert "2 rows of p.json name another photo than their image_id" in caplog.text


def test_names_in_any_spelling_need_no_id_and_other_photos_are_left_out_and_said(truth, caplog):
    for row in (named("B.JPG"), named("b.jpg", "b"), named("/data/upload/4/b.jpg", 99)):
        rows = [row, named("a.jpg"), named("c.jpg", 7), named("c.jpg", 7)]
        assert detections_from_rows(rows, truth).photo.tolist() == [0, 1]
    assert "2 detections are left out" in caplog.text
    assert "(c.jpg)" in caplog.text


def test_names_that_fit_no_photo_or_several_are_refused(truth):
    images = [image | {"file_name": "a.jpg"} for image in TRUTH["images"]]
    twice = ground_truth_from_coco(TRUTH | {"images": images})
    assert detections_from_rows([ROW], twice).photo.tolist() == [1]  # by its id
    for names, photos, fault in (
        (["c.jpg"], truth, "none fits any"),
        (["x/a.jpg", "y/a.jpg"], truth, "x/a.jpg, y/a.jpg fits several"),
        (["a.jpg"], twice, "a.jpg fits several"),
    ):
        with pytest.raises(UserError, match=f"must fit one photo .* {fault}.* leave file_name out"):
            detections_from_rows([named(name, 7) for name in names], photos)


def test_a_category_name_counts_more_than_an_id_and_the_only_class_may_have_another(truth):
    # SAHI writes the model's class from 0 as category_id, and its name beside it.
    rows = [ROW | {"category_name": "nodule", "category_id": 0}, ROW | {"category_name": " "}]
    assert detections_from_rows(rows, truth).classes.tolist() == [1, 0]
    rows = [ROW | {"category_name": " Nodule"}, ROW | {"category_name": "PAPULE", "category_id": 9}]
    assert detections_from_rows(rows, truth).classes.tolist() == [1, 0]
    with pytest.raises(UserError, match=r"p.json, row 1 from 0: category_name .* not 'x'"):
        detections_from_rows([ROW, ROW | {"category_name": "x"}], truth, source="p.json")
    one_class = {"categories": [{"id": 1, "name": "fore"}], "annotations": []}
    truth = ground_truth_from_coco(TRUTH | one_class)
    rows = [ROW | {"category_name": "acne", "category_id": 0}] * 2
    assert detections_from_rows(rows, truth).classes.tolist() == [0, 0]
    rows[1] = rows[1] | {"category_name": "nodule"}
    with pytest.raises(UserError, match=r"row 1 from 0: category_name must be .* not 'nodule'"):
        detections_from_rows(rows, truth)


def test_a_class_that_differs_from_another_in_case_only_is_named_exactly():
    names = {"categories": [{"id": 2, "name": "acne"}, {"id": 9, "name": "Acne"}]}
    truth = ground_truth_from_coco(TRUTH | names)
    rows = [ROW | {"category_name": "Acne"}, ROW | {"category_name": "acne"}]
    assert detections_from_rows(rows, truth).classes.tolist() == [1, 0]
    with pytest.raises(UserError, match="row 0 from 0: category_name must be"):
        detections_from_rows([ROW | {"category_name": "ACNE"}], truth)


def by_ids(*image_ids, names=("p/a.jpg", "p/b.x.jpg")):
    """Read rows of these image ids, in photos of these names with the ids 1, 2, ..."""
    images = [
        {"id": number, "file_name": name, "width": 640, "height": 480}
        for number, name in enumerate(names, 1)
    ]
    truth = ground_truth_from_coco(TRUTH | {"images": images, "annotations": []})
    rows = [
        ROW | {"image_id": image_id, "score": 1 - i / 9} for i, image_id in enumerate(image_ids)
    ]
    return detections_from_rows(rows, truth, source="p.json").photo.tolist()


def test_image_ids_may_be_file_names_without_folder_and_ending(caplog):
    # YOLOv5 and older Ultralytics write the stem, as a number where it is one, and no file_name.
    assert by_ids("A", "b.x", "b.x.jpg", "p/a.jpg") == [0, 0, 1, 1]
    assert "image_id is taken for the photo's file name" in caplog.text
    assert by_ids(2, 7, names=("0002.jpg", "0007.jpg")) == [0, 1]
    assert by_ids(2, "a", names=("2.jpg", "a.jpg")) == [0, 1]
    for ids, names in (((2, "c"), ("a.jpg", "b.jpg")), (("a",), ("p/a.jpg", "q/a.jpg"))):
        with pytest.raises(UserError, match=r"row [01] from 0: image_id must be .* not '[ac]'"):
            by_ids(*ids, names=names)
    with pytest.raises(UserError, match=r"row 1 from 0: image_id must be one of .* not 'b'"):
        by_ids(1, "b", names=("a.jpg", "b.jpg"))  # the first fits as an id alone


def test_ids_that_are_the_numbers_of_other_photos_are_told(caplog):
    assert by_ids(2, 1, names=("1.jpg", "2.jpg")) == [0, 1]
    assert by_ids(1, 2, names=("2.jpg", "b.jpg")) == [0, 1]
    assert caplog.text == ""
    assert by_ids(1, 2, names=("2.jpg", "1.jpg")) == [0, 1]
    assert "give each row its file_name" in caplog.text
