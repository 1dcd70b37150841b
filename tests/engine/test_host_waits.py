"""How much a GPU would be asked for, and how often the host would wait, counted without one.

Numbers are those of the forms that a GPU takes: torchvision's NMS and RoIAlign, and Soft-NMS for
the whole batch. Its one transfer, and that of the number of proposals, are added here since a CPU
has none. They are upper limits as they were counted; the budget that they are to come down to is
1,200 operators and 2 waits for predicting with R-101, and 4 waits a step of training.
"""

from collections import Counter

import pytest
import torch
import torchvision
from detectron2.config import instantiate
from detectron2.layers import ROIAlign
from detectron2.structures import Boxes, Instances
from torch.utils._python_dispatch import TorchDispatchMode

from acnet.config import load_config
from acnet.modeling import SoftNMSOutputLayers, heads, rpn

# The host reads a value, or a size that depends on values.
WAITS = {
    "aten._local_scalar_dense",
    "aten.equal",
    "aten.is_nonzero",
    "aten.masked_select",
    "aten.nonzero",
    "aten.unique_consecutive",
    "aten._unique2",
    "torchvision.nms",
}
VIEWS = {"aten.detach", "aten.view", "aten.alias"}  # no kernel on any device


class Operators(TorchDispatchMode):
    """Counts the operators that torch dispatches, and those for whose values the host waits.

    Attributes:
        count: of operators that do something.
        waits: by name; indexing by a mask is one, as its size depends on values.
    """

    def __init__(self):
        super().__init__()
        self.count, self.waits = 0, Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).rpartition(".")[0]
        self.count += name not in VIEWS
        if name in WAITS or (name in ("aten.index", "aten.index_put_") and _has_mask(args[1])):
            self.waits[name] += 1
        return function(*args, **(kwargs or {}))


def _has_mask(indices) -> bool:
    return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in indices)


TRANSFERS = {"proposals": 1, "soft_nms": 1}


@pytest.fixture(autouse=True)
def _forms_of_a_gpu(monkeypatch):
    def inference(self, predictions, proposals):
        boxes = self.predict_boxes(predictions, proposals)
        scores = self.predict_probs(predictions, proposals)
        found = self._inference_all_images(boxes, scores, [one.image_size for one in proposals])
        return [instances for instances, _ in found], [kept for _, kept in found]

    def hard_nms(boxes, logits, threshold, limit):
        return torchvision.ops.nms(boxes, logits, threshold)[:limit]

    monkeypatch.setattr(rpn, "nms", hard_nms)
    monkeypatch.setattr(heads._ROIAlign, "forward", ROIAlign.forward)
    monkeypatch.setattr(SoftNMSOutputLayers, "inference", inference)


def inputs(count: int, *, with_boxes: bool = False) -> list[dict]:
    pictures = []
    for _ in range(count):
        image = torch.randint(256, (3, 96, 96), dtype=torch.uint8)
        pictures.append({"image": image, "height": 96, "width": 96})
        if with_boxes:
            truth = Instances((96, 96))
            truth.gt_boxes = Boxes(torch.tensor([[5.0, 5, 30, 30], [40, 40, 80, 90]]))
            truth.gt_classes = torch.zeros(2, dtype=torch.long)
            pictures[-1]["instances"] = truth
    return pictures


@pytest.mark.parametrize(
    ("config", "batch", "operators", "waits"),
    [
        ("toy/acnet_r18", 1, 545, 3),
        ("toy/acnet_r18", 4, 780, 6),
        pytest.param("acne04/acnet_r101", 1, 1265, 3, marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_predicting(config, batch, operators, waits):
    model = instantiate(load_config(config).model).eval()
    model(inputs(1))  # anchors are made once
    with Operators() as counted:
        model(inputs(batch))
    assert counted.count <= operators
    assert counted.waits.total() + sum(TRANSFERS.values()) <= waits, counted.waits


@pytest.mark.usefixtures("event_storage")
@pytest.mark.parametrize(("batch", "operators", "waits"), [(2, 1545, 49), (4, 2250, 90)])
def test_a_step_of_training(batch, operators, waits):
    model = instantiate(load_config("toy/acnet_r18").model).train()
    with Operators() as counted:
        sum(model(inputs(batch, with_boxes=True)).values()).backward()
    assert counted.count <= operators
    assert counted.waits.total() + TRANSFERS["proposals"] <= waits, counted.waits


def test_waits_are_seen():
    values = torch.arange(4.0)
    with Operators() as counted:
        values[values > 1].sum().item()
        values.nonzero()
        values[torch.tensor([0, 1])]
    assert counted.waits == {"aten.index": 1, "aten._local_scalar_dense": 1, "aten.nonzero": 1}
