"""Tables and COCO files, and the way from detections to rows and back."""

import csv
import json

import torch
from detectron2.structures import Boxes, Instances

from acnet.inference.counts import PhotoCount
from acnet.inference.results import (
    FailedPhoto,
    PhotoResult,
    instances_of,
    rows_of,
    write_results,
)

ROW = {"category_id": 2, "bbox": [1.0, 2.0, 3.0, 5.0], "score": 0.5}


def result(image_id: int, count: PhotoCount) -> PhotoResult:
    return PhotoResult(
        image_id=image_id,
        name=f"{image_id}.jpg",
        image_hw=(5, 7),
        rows=[],
        count=count,
        seconds=1.234,
    )


def write(folder, results, failed=(), rows=()) -> None:
    named = {"class_names": ["acne", "scar"], "info": {"merge": "nms"}}
    write_results(folder, results, failed, rows=iter(rows), **named)


def read_csv(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rows_and_instances_are_the_same_detections():
    instances = Instances((5, 7))
    instances.pred_boxes = Boxes(torch.tensor([[1.0, 2.0, 4.0, 7.0]]))
    instances.scores = torch.tensor([0.5])
    instances.pred_classes = torch.tensor([1])
    assert rows_of(instances) == [ROW]
    back = instances_of([ROW], (5, 7))
    assert back.image_size == (5, 7)
    assert back.pred_boxes.tensor.tolist() == [[1, 2, 4, 7]]
    assert back.pred_classes.tolist() == [1]


def test_no_detections_go_there_and_back():
    assert rows_of(instances_of([], (5, 7))) == []


def test_a_threshold_takes_the_same_detections_from_rows_and_instances():
    # 0.7 in single precision is below 0.7.
    score = torch.tensor([0.7]).item()
    assert score < 0.7
    assert not (instances_of([{**ROW, "score": score}], (5, 7)).scores >= 0.7).any()


def test_files_are_coco(tmp_path):
    rows = [{"image_id": 3, **ROW}, {"image_id": 3, **ROW}]
    write(tmp_path, [result(1, PhotoCount(count=0)), result(3, PhotoCount(count=1))], rows=rows)
    assert json.loads((tmp_path / "predictions.json").read_text()) == rows
    content = json.loads((tmp_path / "images.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 3]
    assert content["images"][0] == {"id": 1, "file_name": "1.jpg", "width": 7, "height": 5}
    assert content["categories"] == [{"id": 1, "name": "acne"}, {"id": 2, "name": "scar"}]
    assert content["info"] == {"merge": "nms"}


def test_cells_that_need_a_count_model_are_empty_without_one(tmp_path):
    fitted = PhotoCount(count=8, low=2, high=14, grade=1)
    write(tmp_path, [result(1, PhotoCount(count=3)), result(2, fitted)])
    assert read_csv(tmp_path / "counts.csv") == [
        ["photo", "count", "low", "high", "grade", "seconds"],
        ["1.jpg", "3", "", "", "", "1.23"],
        ["2.jpg", "8", "2", "14", "1", "1.23"],
    ]


def test_failures_are_a_table_that_goes_when_there_are_none(tmp_path):
    write(tmp_path, [], [FailedPhoto(name="a, b.jpg", reason='cut "short"\nhere')])
    assert read_csv(tmp_path / "failed.csv") == [
        ["photo", "reason"],
        ["a, b.jpg", 'cut "short"\nhere'],
    ]
    write(tmp_path, [])
    assert not (tmp_path / "failed.csv").exists()
    assert json.loads((tmp_path / "predictions.json").read_text()) == []
