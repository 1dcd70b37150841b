"""COCO files of whole photos, read back."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acnet.data.coco import read_photo_split, write_coco
from acnet.data.records import ImageRecord
from acnet.errors import UnreadableFileError

PHOTO = ImageRecord(
    file_name="below/a.jpg",
    width=100,
    height=70,
    boxes_xyxy=np.array([[0.1, 0.2, 100.0, 70.0], [3.0, 4.0, 5.0, 60.0]]),
    classes=np.array([1, 0]),
    crowd=np.array([False, True]),
    difficult=np.array([True, False]),
)
EMPTY = ImageRecord(
    file_name="b.jpg",
    width=10,
    height=20,
    boxes_xyxy=np.zeros((0, 4)),
    classes=np.zeros(0, np.int64),
)


def test_what_was_written_comes_back(tmp_path):
    path = tmp_path / "test.json"
    ids = write_coco(path, [PHOTO, EMPTY], ["acne", "scar"])
    split = read_photo_split(path)
    assert split.class_names == ("acne", "scar")
    assert split.photo_ids == ids
    empty, photo = split.records
    assert (empty.file_name, len(empty.boxes_xyxy)) == ("b.jpg", 0)
    assert (photo.width, photo.height) == (100, 70)
    assert_allclose(photo.boxes_xyxy, PHOTO.boxes_xyxy, rtol=0, atol=1e-12)
    assert (photo.boxes_xyxy <= [100, 70, 100, 70]).all()
    for field in ("classes", "crowd", "difficult"):
        assert_array_equal(getattr(photo, field), getattr(PHOTO, field))


@pytest.mark.parametrize(
    "spoil",
    [
        {"images": [{"id": 1, "file_name": "../a.jpg", "width": 5, "height": 5}]},
        {"images": [{"id": 1, "file_name": "/a.jpg", "width": 5, "height": 5}]},
        {"images": [{"id": 1, "file_name": "a\\b.jpg", "width": 5, "height": 5}]},
        {"images": [{"id": 1, "width": 5, "height": 5}]},
        {"images": 3},
        {"categories": None},
        {"annotations": [{"image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4]}]},
        {"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}]},
    ],
)
def test_what_no_import_writes_is_refused(tmp_path, spoil):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 5, "height": 5}],
        "annotations": [],
        "categories": [{"id": 1, "name": "acne"}],
    }
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**content, **spoil}))
    with pytest.raises(UnreadableFileError, match=r"test\.json|Correct the name"):
        read_photo_split(path)


def test_a_list_is_no_coco_file(tmp_path):
    (tmp_path / "test.json").write_text("[]")
    with pytest.raises(UnreadableFileError, match=r"Import the data set again\.$"):
        read_photo_split(tmp_path / "test.json")
