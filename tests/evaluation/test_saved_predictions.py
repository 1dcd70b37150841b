"""Predictions with ids of their own are matched by the names in images.json beside them."""

import logging
from pathlib import Path

import pytest

from acnet.errors import UserError
from acnet.evaluation.coco_files import read_ground_truth
from acnet.evaluation.saved_predictions import read_saved_predictions
from tests.evaluation.coco_content import images_of, row_of, write

BOX = [1.0, 2.0, 3.0, 4.0]


def categories_of(*names: str) -> list[dict]:
    return [{"id": index, "name": name} for index, name in enumerate(names, 1)]


ACNE, TWO = categories_of("acne"), categories_of("papule", "nodule")


def ground_truth(folder: Path, names, ids=None, categories=ACNE):
    content = {"images": images_of(names, ids), "annotations": [], "categories": categories}
    return read_ground_truth(write(folder / "gt.json", content))


def predictions(folder: Path, rows, names=None, ids=None, categories=ACNE, **options) -> Path:
    if names is not None:
        images = images_of(names, ids, **options)
        write(folder / "results" / "images.json", {"images": images, "categories": categories})
    return write(folder / "results" / "predictions.json", rows)


def test_without_images_json_ids_are_the_ground_truths(tmp_path):
    truth = ground_truth(tmp_path, ["a.jpg", "b.jpg"], ids=[7, 9])
    path = predictions(tmp_path, [row_of(BOX, 0.5, 9)])
    assert read_saved_predictions(str(path), truth).photo.tolist() == [1]


def test_with_it_ids_are_no_numbers_in_names(tmp_path, caplog):
    truth = ground_truth(tmp_path, ["1.jpg", "2.jpg"])
    path = predictions(tmp_path, [row_of(BOX, 0.5, 1)], names=["2.jpg", "1.jpg"])
    assert read_saved_predictions(path, truth).photo.tolist() == [1]
    assert "file_name" not in caplog.text


def test_photos_beyond_the_ground_truth_are_left_out_and_said(tmp_path, caplog):
    truth = ground_truth(tmp_path, ["b.jpg"])
    rows = [row_of(BOX, 0.9, 1), row_of(BOX, 0.5, 2), row_of(BOX, 0.7, 2)]
    path = predictions(tmp_path, rows, names=["a.jpg", "b.jpg"])
    with caplog.at_level(logging.INFO, logger="acnet"):
        found = read_saved_predictions(path, truth)
    assert (found.photo.tolist(), found.scores.tolist()) == ([0, 0], [0.7, 0.5])
    assert "1 of the 2 predicted photos are not in the ground truth" in caplog.text


@pytest.mark.parametrize(
    ("true", "predicted", "first"),
    [
        ("a.jpg b.jpg", "b.jpg a.jpg", 1),  # the same ids mean other photos
        ("train\\A.JPG", "a.jpg", 0),  # in any spelling, see tests/test_file_names.py
        ("x/1/a.jpg x/2/a.jpg", "2/a.jpg 1/a.jpg", 1),
        ("a.jpg", "a.jpg b/a.jpg", 0),  # an exact name wins over an end
    ],
)
def test_with_it_photos_are_matched_by_name_of_which_the_end_is_enough(
    tmp_path, true, predicted, first
):
    truth = ground_truth(tmp_path, true.split(" "))
    path = predictions(tmp_path, [row_of(BOX, 0.5, 1)], names=predicted.split(" "))
    assert read_saved_predictions(path, truth).photo.tolist() == [first]


@pytest.mark.parametrize(
    ("true", "predicted", "options", "fault"),
    [
        (["a.jpg", "b.jpg", "ca.jpg"], ["a.jpg"], {}, r"2 of 3 photos are missing \(b.jpg, ca.jpg"),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], {}, "must fit one photo"),
        (["x/a.jpg", "y/a.jpg"], ["a.jpg"], {}, "must fit one photo"),
        (["a.jpg"], ["a.jpg"], {"side": 640}, r"a\.jpg of 320 x 320 .* and 640 x 640"),
        (["a.jpg"], ["a.jpg"], {"ids": [4]}, "image_id"),  # the row's is 5
        (["a.jpg"], ["a.jpg"], {"categories": TWO}, "acne in the ground truth and papule, nodule"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, true, predicted, options, fault):
    truth = ground_truth(tmp_path, true)
    path = predictions(tmp_path, [row_of(BOX, 0.5, 5)], names=predicted, **options)
    with pytest.raises(UserError, match=fault):
        read_saved_predictions(path, truth)


def test_classes_are_matched_by_name(tmp_path, caplog):
    truth = ground_truth(tmp_path, ["a.jpg"], categories=TWO)
    turned = categories_of("Nodule ", "papule")
    path = predictions(tmp_path, [row_of(BOX, 0.5, 1, 2)], names=["a.jpg"], categories=turned)
    assert read_saved_predictions(path, truth).classes.tolist() == [0]
    # The only class may have another name.
    truth = ground_truth(tmp_path, ["a.jpg"], categories=[{"id": 3, "name": "fore"}])
    path = predictions(tmp_path, [row_of(BOX, 0.5)], names=["a.jpg"])
    with caplog.at_level(logging.INFO, logger="acnet"):
        assert read_saved_predictions(path, truth).classes.tolist() == [0]
    assert "'acne' is taken for 'fore'" in caplog.text


@pytest.mark.parametrize("name", ["acne", "lesion"])  # the second: the only one with annotations
def test_a_class_that_nothing_has_need_not_be_predicted(tmp_path, name):
    # Roboflow's first category is the project's name.
    two = [{"id": 0, "name": "lesions-v2"}, {"id": 1, "name": "acne"}]
    boxes = [{"image_id": 1, "category_id": 1, "bbox": BOX}]
    content = {"images": images_of(["a.jpg"]), "annotations": boxes, "categories": two}
    truth = read_ground_truth(write(tmp_path / "gt.json", content))
    rows = [row_of(BOX, 0.5)]
    path = predictions(tmp_path, rows, names=["a.jpg"], categories=categories_of(name))
    assert read_saved_predictions(path, truth).classes.tolist() == [1]


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"{}", b'{"images": 1}', b"\xff"])
def test_a_broken_images_json_is_refused(tmp_path, content):
    truth = ground_truth(tmp_path, ["a.jpg"])
    path = predictions(tmp_path, [], names=["a.jpg"])
    path.with_name("images.json").write_bytes(content)
    with pytest.raises(UserError, match=r"images\.json"):
        read_saved_predictions(path, truth)
