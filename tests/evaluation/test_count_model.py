"""The count model's intervals and its file."""

import json

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.evaluation.columns import sort_detections
from acnet.evaluation.count_model import (
    CountModel,
    check_merge,
    read_count_model,
    write_count_model,
)
from tests.evaluation.count_models import count_model

MODEL = count_model(merge="soft_nms-linear", threshold=0.4, quantile=1.5)


def test_the_threshold_is_inclusive_and_empty_photos_count_0():
    detections = sort_detections(
        photo=np.array([0, 0, 2]),
        classes=np.zeros(3),
        boxes_xywh=np.zeros((3, 4)),
        scores=np.array([0.4, 0.39, 0.9]),
    )
    assert MODEL.count(detections, 4).tolist() == [1, 0, 1, 0]


def test_intervals_by_hand():
    # 1.5 * sqrt(count + 1): 1.5, 3, 4.5, so 1, 3 and 4 whole lesions to either side; from 0.
    low, high = MODEL.interval(np.array([0, 3, 8]))
    assert low.tolist() == [0, 0, 4]
    assert high.tolist() == [1, 6, 12]


@pytest.mark.parametrize("error", [1, 2, 3, 5, 7])
def test_the_photo_that_set_the_quantile_is_inside_its_own_interval(error):
    # error / sqrt(n) * sqrt(n) may be a little below the error.
    for count in range(200):
        model = CountModel(**{**MODEL.__dict__, "quantile": error / np.sqrt(count + 1)})
        assert model.interval(np.array([count]))[1] == count + error


def test_a_count_model_of_another_merging_is_refused():
    check_merge(MODEL, "soft_nms-linear", source="count.json")
    with pytest.raises(UserError, match=r"count\.json, fitted to 'soft_nms-linear', where 'nms'"):
        check_merge(MODEL, "nms", source="count.json")


def test_file_and_back(tmp_path):
    path = tmp_path / "new" / "count.json"
    write_count_model(path, MODEL)
    assert read_count_model(path) == MODEL
    assert json.loads(path.read_text())["format"] == "acnet count model"


def test_a_missing_file_is_named_with_the_command_that_writes_it(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.json, which cannot be read.*acnet calibrate"):
        read_count_model(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": "recipe"}, "does not say 'format'"),
        ({"version": 2}, "of version 2, where 1 is known"),
        ({"threshold": None}, "threshold is None"),
        ({"threshold": "0.4"}, "threshold is '0.4'"),
        ({"coverage": 1.0}, "coverage is 1.0"),
        ({"coverage": True}, "coverage is True"),
        ({"quantile": -1.0}, "quantile is -1.0"),
        ({"interval_photos": 0}, "interval_photos is 0"),
        ({"interval_photos": 8}, "8 photos cannot promise a coverage of 0.9"),
        ({"fit_photos": 1.5}, "fit_photos is 1.5"),
        ({"merge": ""}, "merge is ''"),
        ({"extra": 1}, "extra is missing or unknown"),
    ],
)
def test_a_changed_file_is_refused(tmp_path, change, fault):
    path = tmp_path / "count.json"
    write_count_model(path, MODEL)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=fault):
        read_count_model(path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"threshold": NaN}', b"\xff\xfe"])
def test_what_is_no_count_model_is_refused(tmp_path, content):
    path = tmp_path / "count.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"count\.json, "):
        read_count_model(path)


def test_nan_is_refused(tmp_path):
    path = tmp_path / "count.json"
    write_count_model(path, MODEL)
    path.write_text(path.read_text().replace("0.4,", "NaN,"))
    with pytest.raises(UserError, match="threshold is nan"):
        read_count_model(path)
