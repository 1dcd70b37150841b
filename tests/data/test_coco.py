"""COCO files: ids, order, and pycocotools' opinion of them."""

import copy
import dataclasses
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from acnet.data.records import coco_dict, read_photo_split, write_coco
from acnet.errors import UnreadableFileError
from tests.data.samples import record as photo

PHOTOS = [
    photo("b.jpg", (5, 6, 15, 26), (0, 0, 10, 10)),
    photo("c.jpg"),
    photo("a.jpg", (1, 2, 4, 8.5)),
]


def test_by_hand():
    content = coco_dict(PHOTOS, ["acne"])
    assert content["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80},
        {"id": 2, "file_name": "b.jpg", "width": 100, "height": 80},
        {"id": 3, "file_name": "c.jpg", "width": 100, "height": 80},
    ]
    common = {"category_id": 1, "iscrowd": 0}
    assert content["annotations"] == [
        # 4 - 1 = 3 wide, 8.5 - 2 = 6.5 high, area 19.5
        {"id": 1, "image_id": 1, "bbox": [1.0, 2.0, 3.0, 6.5], "area": 19.5, **common},
        {"id": 2, "image_id": 2, "bbox": [5.0, 6.0, 10.0, 20.0], "area": 200.0, **common},
        {"id": 3, "image_id": 2, "bbox": [0.0, 0.0, 10.0, 10.0], "area": 100.0, **common},
    ]
    assert content["categories"] == [{"id": 1, "name": "acne"}]
    assert coco_dict(PHOTOS[::-1], ["acne"]) == content
    assert coco_dict([], ["acne"])["images"] == []
    with pytest.raises(ValueError, match=r"b\.jpg twice"):
        coco_dict([*PHOTOS, photo("b.jpg")], ["acne"])


def test_pycocotools_gives_perfect_predictions_an_ap_of_one(tmp_path):
    write_coco(tmp_path / "a.json", PHOTOS, ["acne"])
    truth = COCO(str(tmp_path / "a.json"))
    found = [{**annotation, "score": 0.9} for annotation in truth.dataset["annotations"]]
    evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(found)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == 1.0  # an annotation id of 0 would count as unmatched


def test_what_was_written_comes_back(tmp_path):
    path = tmp_path / "test.json"
    flags = {"crowd": np.array([False, True]), "difficult": np.array([True, False])}
    boxes = photo("below/a.jpg", (0.1, 0.2, 100.0, 80.0), (3.0, 4.0, 5.0, 60.0))
    whole = dataclasses.replace(boxes, classes=np.array([1, 0]), **flags)
    write_coco(path, [whole, photo("b.jpg")], ["acne", "scar"])
    split = read_photo_split(path)
    assert split.class_names == ("acne", "scar")
    assert split.photo_ids == {"b.jpg": 1, "below/a.jpg": 2}
    empty, found = split.records
    assert (empty.file_name, len(empty.boxes_xyxy)) == ("b.jpg", 0)
    assert (found.width, found.height) == (100, 80)
    assert_allclose(found.boxes_xyxy, whole.boxes_xyxy, rtol=0, atol=1e-12)
    assert (found.boxes_xyxy <= [100, 80, 100, 80]).all()
    for field in ("classes", "crowd", "difficult"):
        assert_array_equal(getattr(found, field), getattr(whole, field))


IMAGE = {"id": 1, "file_name": "a.jpg", "width": 5, "height": 5}


@pytest.mark.parametrize(
    "spoil",
    [
        *({"images": [{**IMAGE, "file_name": n}]} for n in ("../a.jpg", "/a.jpg", "a\\b.jpg")),
        {"images": [{"id": 1, "width": 5, "height": 5}]},
        {"images": 3},
        {"categories": None},
        {"annotations": [{"image_id": 1, "category_id": 9, "bbox": [1, 2, 3, 4]}]},
        {"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}]},
    ],
)
def test_what_no_import_writes_is_refused(tmp_path, spoil):
    content = {"images": [IMAGE], "annotations": [], "categories": [{"id": 1, "name": "acne"}]}
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**content, **spoil}))
    with pytest.raises(UnreadableFileError, match=r"test\.json|Correct the name"):
        read_photo_split(path)
