"""Detections as numpy has them, as COCO results and as supervision's."""

from importlib.util import find_spec

import numpy as np
import pytest

from acnet import to_coco, to_supervision
from acnet.errors import UserError
from acnet.photos.instances import PlainBoxes, PlainInstances, to_instances

BOXES, SCORES = np.array([[0, 0, 2, 4], [1, 1, 5, 3]], np.float32), np.array([0.5, 0.25])
CLASSES = np.array([1, 0])


@pytest.mark.parametrize("chosen", [[True, False], [1], slice(0, 1), -1])
def test_plain_instances_are_indexed_as_detectron2s(chosen):
    structures = pytest.importorskip("detectron2.structures")
    torch = pytest.importorskip("torch")
    theirs = structures.Instances((8, 9), scores=torch.from_numpy(SCORES))
    theirs.pred_boxes = structures.Boxes(torch.from_numpy(BOXES))
    ours = PlainInstances((8, 9), scores=SCORES, pred_boxes=PlainBoxes(BOXES))
    index = np.array(chosen) if isinstance(chosen, list) else chosen
    one = theirs[torch.tensor(chosen) if isinstance(chosen, list) else chosen]
    other = ours[index]
    assert (len(other), other.image_size) == (len(one), one.image_size)
    assert other.scores.tolist() == one.scores.tolist()
    assert other.pred_boxes.tensor.tolist() == one.pred_boxes.tensor.tolist()
    assert other.pred_boxes.area().tolist() == one.pred_boxes.area().tolist()
    assert other.pred_boxes.get_centers().tolist() == one.pred_boxes.get_centers().tolist()
    assert (other.has("scores"), other.has("classes")) == (True, False)


@pytest.fixture(params=["detectron2's", "plain"])
def found(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr("acnet.photos.instances.find_spec", lambda name: None)
    return lambda count: to_instances((8, 9), BOXES[:count], SCORES[:count], CLASSES[:count])


def test_coco_results_are_of_the_photo_they_are_said_to_be_of(found):
    first = {"image_id": 7, "category_id": 2, "bbox": [0, 0, 2, 4], "score": 0.5}
    second = {"image_id": 7, "category_id": 1, "bbox": [1, 1, 4, 2], "score": 0.25}
    assert to_coco(found(2), image_id=7) == [first, second]
    assert to_coco(found(2)[[0]]) == [{**first, "image_id": 1}]
    assert to_coco(found(0)) == []


@pytest.mark.skipif(find_spec("supervision") is None, reason="needs supervision, not a dependency")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_supervision_takes_and_filters_them(found, count):
    detections = to_supervision(found(count), ("acne", "scar"))
    assert (len(detections), len(detections[detections.confidence > 0.4])) == (count, count > 0)
    assert detections.xyxy.tolist() == BOXES[:count].tolist()
    assert detections.class_id.tolist() == CLASSES[:count].tolist()
    assert list(detections["class_name"]) == ["scar", "acne"][:count]
    assert to_supervision(found(count)).data == {}


@pytest.mark.skipif(find_spec("supervision") is not None, reason="supervision is installed")
def test_without_supervision_the_error_says_what_to_install(found):
    with pytest.raises(UserError, match="pip install supervision"):
        to_supervision(found(2))
