"""Predictions with ids of their own are matched by the names in images.json beside them."""

import logging
from pathlib import Path

import pytest

from acnet.errors import UserError
from acnet.evaluation.coco_files import read_ground_truth
from acnet.evaluation.saved_predictions import read_saved_predictions
from tests.evaluation.coco_content import images_of, write

ACNE = [{"id": 1, "name": "acne"}]


def ground_truth(folder: Path, names, ids=None, categories=ACNE):
    content = {"images": images_of(names, ids), "annotations": [], "categories": categories}
    return read_ground_truth(write(folder / "gt.json", content))


def row(image_id, score, category_id=1):
    box = [1.0, 2.0, 3.0, 4.0]
    return {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}


def predictions(folder: Path, rows, names=None, ids=None, categories=ACNE, **options) -> Path:
    if names is not None:
        images = images_of(names, ids, **options)
        write(folder / "results" / "images.json", {"images": images, "categories": categories})
    return write(folder / "results" / "predictions.json", rows)


def scores_by_photo(detections) -> list[tuple[int, float]]:
    return list(zip(detections.photo.tolist(), detections.scores.tolist(), strict=True))


def test_without_images_json_the_ids_are_those_of_the_ground_truth(tmp_path):
    truth = ground_truth(tmp_path, ["a.jpg", "b.jpg"], ids=[7, 9])
    found = read_saved_predictions(predictions(tmp_path, [row(9, 0.5)]), truth)
    assert scores_by_photo(found) == [(1, 0.5)]


def test_with_it_photos_are_matched_by_name(tmp_path):
    # The same ids mean other photos: 1 is b.jpg here, 2 is a.jpg.
    truth = ground_truth(tmp_path, ["a.jpg", "b.jpg"])
    path = predictions(tmp_path, [row(1, 0.9), row(2, 0.5), row(2, 0.7)], names=["b.jpg", "a.jpg"])
    assert scores_by_photo(read_saved_predictions(path, truth)) == [(0, 0.7), (0, 0.5), (1, 0.9)]


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        ("photos/a.jpg", "a.jpg"),
        ("a.jpg", "photos/a.jpg"),
        ("x/y/a.jpg", "y/a.jpg"),
        ("train\\a.jpg", "a.jpg"),
        ("A.JPG", "a.jpg"),
        ("Foto%201.jpg", "Foto 1.jpg"),
        ("M\u00fcller.jpg", "Mu\u0308ller.jpg"),
        ("https://host/files/a.jpg", "photos/a.jpg"),
    ],
)
def test_the_end_of_a_path_is_enough(tmp_path, true, predicted):
    truth = ground_truth(tmp_path, [true])
    path = predictions(tmp_path, [row(1, 0.5)], names=[predicted])
    assert scores_by_photo(read_saved_predictions(path, truth)) == [(0, 0.5)]


def test_equal_names_in_two_folders_are_told_apart(tmp_path):
    truth = ground_truth(tmp_path, ["x/1/a.jpg", "x/2/a.jpg"])
    path = predictions(tmp_path, [row(1, 0.5)], names=["2/a.jpg", "1/a.jpg"])
    assert scores_by_photo(read_saved_predictions(path, truth)) == [(1, 0.5)]


def test_an_exact_name_wins_over_an_end(tmp_path):
    truth = ground_truth(tmp_path, ["a.jpg"])
    path = predictions(tmp_path, [row(1, 0.4), row(2, 0.6)], names=["b/a.jpg", "a.jpg"])
    assert scores_by_photo(read_saved_predictions(path, truth)) == [(0, 0.6)]


def test_photos_beyond_the_ground_truth_are_left_out_and_said(tmp_path, caplog):
    truth = ground_truth(tmp_path, ["b.jpg"])
    path = predictions(tmp_path, [row(1, 0.9), row(2, 0.5)], names=["a.jpg", "b.jpg"])
    with caplog.at_level(logging.INFO, logger="acnet"):
        found = read_saved_predictions(path, truth)
    assert scores_by_photo(found) == [(0, 0.5)]
    assert "1 of the 2 predicted photos are not in the ground truth" in caplog.text


def test_a_photo_that_was_not_predicted_is_refused(tmp_path):
    truth = ground_truth(tmp_path, ["a.jpg", "b.jpg", "ca.jpg"])
    path = predictions(tmp_path, [], names=["a.jpg"])
    with pytest.raises(UserError, match=r"2 of 3 photos are missing \(b\.jpg, ca\.jpg\)"):
        read_saved_predictions(path, truth)


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"]),
        (["x/a.jpg", "y/a.jpg"], ["a.jpg"]),
    ],
)
def test_a_name_that_fits_several_photos_is_refused(tmp_path, true, predicted):
    truth = ground_truth(tmp_path, true)
    with pytest.raises(UserError, match="must fit one photo"):
        read_saved_predictions(predictions(tmp_path, [], names=predicted), truth)


def test_another_size_is_refused(tmp_path):
    truth = ground_truth(tmp_path, ["a.jpg"])
    path = predictions(tmp_path, [], names=["a.jpg"], side=640)
    with pytest.raises(UserError, match=r"a\.jpg of 320 x 320 .* and 640 x 640"):
        read_saved_predictions(path, truth)


def test_classes_are_matched_by_name(tmp_path):
    names = ["papule", "nodule"]
    true = [{"id": index, "name": name} for index, name in enumerate(names, 1)]
    predicted = [{"id": index, "name": name} for index, name in enumerate(names[::-1], 1)]
    truth = ground_truth(tmp_path, ["a.jpg"], categories=true)
    path = predictions(tmp_path, [row(1, 0.5, 2)], names=["a.jpg"], categories=predicted)
    assert read_saved_predictions(path, truth).classes.tolist() == [0]


def test_a_class_that_nothing_has_need_not_be_predicted(tmp_path):
    # Roboflow's first category is the project's name.
    two = [{"id": 0, "name": "lesions-v2"}, {"id": 1, "name": "acne"}]
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]
    content = {"images": images_of(["a.jpg"]), "annotations": boxes, "categories": two}
    truth = read_ground_truth(write(tmp_path / "gt.json", content))
    for name in ("acne", "lesion"):  # the second is taken for the only one that is annotated
        path = predictions(
            tmp_path, [row(1, 0.5)], names=["a.jpg"], categories=[{"id": 1, "name": name}]
        )
        assert read_saved_predictions(path, truth).classes.tolist() == [1]


def test_the_only_class_may_have_another_name(tmp_path, caplog):
    truth = ground_truth(tmp_path, ["a.jpg"], categories=[{"id": 3, "name": "fore"}])
    path = predictions(tmp_path, [row(1, 0.5)], names=["a.jpg"])
    with caplog.at_level(logging.INFO, logger="acnet"):
        assert read_saved_predictions(path, truth).classes.tolist() == [0]
    assert "'acne' is taken for 'fore'" in caplog.text


def test_other_classes_are_refused(tmp_path):
    two = [{"id": 1, "name": "papule"}, {"id": 2, "name": "nodule"}]
    truth = ground_truth(tmp_path, ["a.jpg"], categories=two)
    path = predictions(tmp_path, [], names=["a.jpg"])
    with pytest.raises(UserError, match="papule, nodule in the ground truth and acne in"):
        read_saved_predictions(path, truth)


def test_an_unknown_id_is_refused_by_what_images_json_says(tmp_path):
    truth = ground_truth(tmp_path, ["a.jpg"], ids=[5])
    path = predictions(tmp_path, [row(5, 0.5)], names=["a.jpg"])
    with pytest.raises(UserError, match="image_id"):
        read_saved_predictions(path, truth)


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"{}", b'{"images": 1}', b"\xff"])
def test_a_broken_images_json_is_refused(tmp_path, content):
    truth = ground_truth(tmp_path, ["a.jpg"])
    path = predictions(tmp_path, [], names=["a.jpg"])
    path.with_name("images.json").write_bytes(content)
    with pytest.raises(UserError, match=r"images\.json"):
        read_saved_predictions(path, truth)
