"""ACNE04-v2: circles become boxes; its folds are ACNE04's where the lists are there."""

import json
import math

import numpy as np
import pytest

from acnet.data.readers.acne04 import box_of_circle, open_acne04_v2
from acnet.errors import UserError
from tests.data.small_sets import acne04, acne04_v2, picture, write


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        # the form of Acne04-v2_annotations.json: centre (2229, 168), radius 25
        ({"coordinates": [2229, 168], "radius": 25}, (2204, 143, 2254, 193)),
        ({"center": [5.5, 6], "r": 2}, (3.5, 4, 7.5, 8)),
        ({"centre": ["5", "6"], "radius": "2"}, (3, 4, 7, 8)),
        ({"bbox": [1, 2, 3, 4]}, (1, 2, 4, 6)),
    ],
)
def test_a_circle_becomes_the_box_around_it(entry, expected):
    assert box_of_circle(entry) == expected


@pytest.mark.parametrize(
    "entry",
    [
        {"coordinates": [1, 2]},
        {"coordinates": [1], "radius": 2},
        {"coordinates": 3, "radius": 2},
        {"coordinates": [1, 2], "radius": math.nan},
        {"coordinates": [None, 2], "radius": 1},
    ],
)
def test_what_is_no_circle_is_nan(entry):
    assert np.isnan(box_of_circle(entry)).any()


def test_one_split_without_lists(tmp_path):
    acne04_v2(tmp_path)
    source = open_acne04_v2(tmp_path)
    assert source.format == "acne04_v2"
    assert source.image_root == tmp_path / "JPEGImages"
    assert source.splits == {"all": ("a.jpg", "b.jpg", "c.jpg", "d.jpg")}
    photo = source.read("a.jpg")
    assert photo.names == ("acne", "acne")
    # boxes of small_sets: centres (7, 8) and (27, 15); radius 5
    assert photo.boxes_xyxy.tolist() == [[2, 3, 12, 13], [22, 10, 32, 20]]
    assert photo.annotation_ids == (0, 1)


def test_folds_of_acne04(tmp_path):
    acne04(tmp_path)  # levle0_{a,b,c} for training, levle0_d for the test
    names = [f"levle0_{stem}.jpg" for stem in "bcd"]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    content = {"images": images, "annotations": [], "info": {"radius": 0}}
    write(tmp_path / "circles.json", json.dumps(content))
    source = open_acne04_v2(tmp_path)
    assert source.image_root == tmp_path / "Classification" / "JPEGImages"
    assert source.splits == {"trainval_0": tuple(names[:2]), "test_0": (names[2],)}
    assert [path.name for path in source.inputs] == [
        *("circles.json", "NNEW_trainval_0.txt", "NNEW_test_0.txt")
    ]


def test_the_file_and_photos_elsewhere(tmp_path):
    acne04_v2(tmp_path / "set")
    write(tmp_path / "photos" / "a.jpg", picture())
    path = tmp_path / "set" / "Acne04-v2_annotations.json"
    source = open_acne04_v2(path, image_root=tmp_path / "photos")
    assert len(source.read("a.jpg").names) == 2


def test_there_is_one_file(tmp_path):
    with pytest.raises(UserError, match="Received 0 such files"):
        open_acne04_v2(tmp_path)
    acne04_v2(tmp_path)
    write(tmp_path / "b.json", (tmp_path / "Acne04-v2_annotations.json").read_bytes())
    with pytest.raises(UserError, match="Received 2 such files"):
        open_acne04_v2(tmp_path)
