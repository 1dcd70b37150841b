"""A photo's count, interval and grade, and the tables of all photos."""

import csv
import dataclasses
import json

import cv2
import numpy as np
import pytest

from acnet.evaluation.count_fit import fit_domain
from acnet.evaluation.count_model import ScoreMap
from acnet.photos.results import (
    UNLIKE,
    CountRule,
    FailedPhoto,
    PhotoCount,
    PhotoResult,
    arrays_of,
    photo_traits,
    rows_of,
    versions,
    write_results,
)
from tests.evaluation.count_models import count_model
from tests.photos.samples import noise

MODEL = count_model(quantile=2.0)
FITTED = CountRule(threshold=MODEL.threshold, model=MODEL)
ROW = {"category_id": 2, "bbox": [1.0, 2.0, 3.0, 5.0], "score": 0.5}
HALF = "inflammatory lesions, half face"


# A width of 2 * sqrt(8 + 1) = 6 to each side of 8 lesions, which are more than 5 and at most 20:
# moderate. Hayashi's limits are for inflammatory lesions on half of the face (2008).
@pytest.mark.parametrize(
    ("rule", "scores", "count"),
    [
        (CountRule(threshold=0.5), [0.9, 0.5, 0.49], PhotoCount(count=2)),
        (FITTED, [0.6] * 8 + [0.4], PhotoCount(count=8, low=2, high=14, grade=1, counted=HALF)),
        (FITTED, [], PhotoCount(count=0, low=0, high=2, grade=0, counted=HALF)),
        (
            CountRule(model=count_model(quantile=2.0, view="whole face", lesions="all")),
            [0.6] * 8,
            PhotoCount(count=8, low=2, high=14, counted="all lesions, whole face"),
        ),
    ],
)
def test_counts_have_an_interval_with_a_count_model_and_a_grade_where_it_applies(
    rule, scores, count
):
    assert rule(scores) == count


def test_probabilities_stand_beside_the_scores_where_they_were_fitted():
    score_map = ScoreMap(method="Platt", scores=(0.0, 1.0), shares=(0.0, 0.5))
    rule = CountRule(model=dataclasses.replace(MODEL, probability=score_map))
    assert rule.with_probabilities([{"score": 0.9}]) == [{"score": 0.9, "probability": 0.45}]
    assert rule.with_probabilities([]) == []
    assert CountRule().with_probabilities([{"score": 0.9}]) == [{"score": 0.9}]


def skin(seed: int, side: int = 96) -> np.ndarray:
    """Return a soft patch of one of many skin colours, with a little noise."""
    rng = np.random.default_rng(seed)
    tone = np.array([120, 150, 200]) * rng.uniform(0.7, 1.1)
    light = cv2.GaussianBlur(rng.normal(0, 60, (side, side, 1)), (0, 0), side / 6)[..., None]
    return (tone + light + rng.normal(0, 2, (side, side, 3))).clip(0, 255).astype(np.uint8)


def unlike_skin() -> list[np.ndarray]:
    """Return a document, noise, a landscape and a black pixel."""
    page = np.full((400, 300, 3), 245, np.uint8)
    for y in range(20, 390, 16):
        cv2.putText(page, "what the photo says", (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 30)
    landscape = np.full((90, 120, 3), (40, 140, 60), np.uint8)
    landscape[:45] = (230, 170, 110)
    return [page, noise(64, 64), landscape, np.zeros((1, 1, 3), np.uint8)]


def test_photos_unlike_those_of_the_count_model_get_no_count():
    traits = np.array([photo_traits(skin(seed)) for seed in range(60)])
    rule = CountRule(model=dataclasses.replace(MODEL, domain=fit_domain(traits)))
    for picture in unlike_skin():
        assert rule([0.9], photo_traits(picture)) == PhotoCount(count=None, note=UNLIKE)
    new = [rule([0.9], photo_traits(skin(seed))).count for seed in range(60, 160)]
    assert new.count(1) >= 85
    assert rule([0.9]).count == 1  # nothing is known of the photo
    assert CountRule(model=MODEL)([0.9], photo_traits(unlike_skin()[0])).count == 1


def test_traits_hardly_depend_on_the_resolution():
    small = skin(0, 160)
    larger = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert photo_traits(larger) == pytest.approx(photo_traits(small), abs=0.5)


def result(image_id: int, count: PhotoCount) -> PhotoResult:
    known = {"image_hw": (5, 7), "rows": [], "seconds": 1.234, "photo_size_px": 640}
    return PhotoResult(image_id=image_id, name=f"{image_id}.jpg", count=count, **known)


def write(folder, results, failed=(), rows=()) -> None:
    named = {"class_names": ["acne", "scar"], "info": {"merge": "nms"}}
    write_results(folder, results, failed, rows=iter(rows), **named)


def read_csv(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rows_are_the_same_detections_as_arrays():
    arrays = np.array([[1, 2, 4, 7]], np.float32), np.array([0.5]), np.array([1])
    assert rows_of(*arrays) == [ROW]
    boxes_xyxy, _, classes = arrays_of([ROW])
    assert (boxes_xyxy.tolist(), classes.tolist()) == ([[1, 2, 4, 7]], [1])
    assert rows_of(*arrays_of([])) == []
    # A threshold takes the same ones: 0.7 in single precision is below 0.7.
    score = float(np.float32(0.7))
    assert score < 0.7
    assert not (arrays_of([{**ROW, "score": score}])[1] >= 0.7).any()


def test_files_are_coco(tmp_path):
    rows = [{"image_id": 3, **ROW}, {"image_id": 3, **ROW}]
    write(tmp_path, [result(1, PhotoCount(count=0)), result(3, PhotoCount(count=1))], rows=rows)
    assert json.loads((tmp_path / "predictions.json").read_text()) == rows
    content = json.loads((tmp_path / "images.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 3]
    first = {"id": 1, "file_name": "1.jpg", "width": 7, "height": 5, "photo_size_px": 640}
    assert content["images"][0] == {**first, "has_count": True}
    assert content["categories"] == [{"id": 1, "name": "acne"}, {"id": 2, "name": "scar"}]
    assert content["info"] == {"merge": "nms"}


def test_images_say_where_copies_are_and_which_have_no_count(tmp_path):
    unlike = result(1, PhotoCount(count=None, note=UNLIKE))
    write(tmp_path, [dataclasses.replace(unlike, files={"photo": "photos/1_jpg.jpg"})])
    image = json.loads((tmp_path / "images.json").read_text())["images"][0]
    assert (image["has_count"], image["copy"]) == (False, "photos/1_jpg.jpg")


def test_cells_without_a_value_are_empty(tmp_path):
    fitted = PhotoCount(count=8, low=2, high=14, grade=1, counted="x")
    rows = [{**ROW, "probability": 0.25}, ROW]
    first = dataclasses.replace(result(1, PhotoCount(count=3)), rows=rows)
    unlike = PhotoCount(count=None, note="unlike")
    write(tmp_path, [first, result(2, fitted), result(3, unlike)])
    assert read_csv(tmp_path / "counts.csv") == [
        ["photo", "count", "low", "high", "grade", "counted", "note", "seconds", "photo_size_px"],
        ["1.jpg", "3", "", "", "", "", "", "1.23", "640"],
        ["2.jpg", "8", "2", "14", "1", "x", "", "1.23", "640"],
        ["3.jpg", "", "", "", "", "", "unlike", "1.23", "640"],
    ]
    assert read_csv(tmp_path / "lesions.csv") == [
        ["photo", "x", "y", "width", "height", "class", "score", "probability"],
        ["1.jpg", "1.0", "2.0", "3.0", "5.0", "scar", "0.5", "0.25"],
        ["1.jpg", "1.0", "2.0", "3.0", "5.0", "scar", "0.5", ""],
    ]


def test_failures_are_a_table_that_goes_when_there_are_none(tmp_path):
    write(tmp_path, [], [FailedPhoto(name="a, b.jpg", reason='cut "short"\nhere')])
    rows = [["photo", "reason"], ["a, b.jpg", 'cut "short"\nhere']]
    assert read_csv(tmp_path / "failed.csv") == rows
    write(tmp_path, [])
    assert not (tmp_path / "failed.csv").exists()
    assert json.loads((tmp_path / "predictions.json").read_text()) == []


def test_versions_are_those_that_compute():
    assert {"acnet", "cv2", "torch", "pillow"} <= versions().keys()
    assert versions()["cv2"]  # whichever of its packages brought it
    assert versions(["no-such-package"])["no-such-package"] == ""
