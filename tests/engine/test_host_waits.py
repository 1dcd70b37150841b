"""How much a GPU would be asked for, and how often the host would wait, counted without one.

Counted are the forms that a GPU takes, with torchvision's RoIAlign. A transfer between host and
device is no operator on a CPU, so calls of `Tensor.cpu`, what is `Fetched`, and what detectron2
sends count as waits. The numbers are budgets: 1,200 operators and 2 waits a batch for predicting
with R-101; 4 waits a step of training, of which the trainer needs one for the losses.
"""

from collections import Counter
from contextlib import ExitStack
from unittest.mock import patch

import pytest
import torch
from detectron2.config import instantiate
from detectron2.layers import ROIAlign
from detectron2.modeling import anchor_generator
from detectron2.structures import Boxes, Instances
from torch.utils._python_dispatch import TorchDispatchMode

from acnet.config import load_config
from acnet.inference.eager import detect
from acnet.layers.host import Fetched
from acnet.modeling import poolers

# The host reads a value, or a size that depends on values.
WAITS = {
    *("aten._local_scalar_dense", "aten.equal", "aten.is_nonzero", "aten.masked_select"),
    *("aten.nonzero", "aten.unique_consecutive", "aten._unique2", "torchvision.nms"),
}
VIEWS = {"aten.detach", "aten.view", "aten.alias"}  # no kernel on any device


class Operators(TorchDispatchMode):
    """Counts the operators that do something, and those for whose values the host waits, by name.

    Indexing by a mask is such a wait, as its size depends on values, and so is a transfer.
    """

    def __init__(self):
        super().__init__()
        self.count, self.waits = 0, Counter()

    def __enter__(self):
        self._patches = ExitStack()
        for kind, name in (
            (torch.Tensor, "cpu"),
            (Fetched, "__init__"),
            (anchor_generator, "move_device_like"),
        ):
            self._patches.enter_context(patch.object(kind, name, self._counted(kind, name)))
        return super().__enter__()

    def _counted(self, kind, name):
        function = getattr(kind, name)

        def counted(*arguments):
            self.waits[f"{kind.__name__}.{name}"] += 1
            return function(*arguments)

        return counted

    def __exit__(self, *error):
        self._patches.close()
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).rpartition(".")[0]
        self.count += name not in VIEWS
        if name in WAITS or (name in ("aten.index", "aten.index_put_") and _has_mask(args[1])):
            self.waits[name] += 1
        return function(*args, **(kwargs or {}))


def _has_mask(indices) -> bool:
    return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in indices)


@pytest.fixture(autouse=True)
def _forms_of_a_gpu(monkeypatch):
    monkeypatch.setattr(poolers._ROIAlign, "forward", ROIAlign.forward)


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
    ("config", "batch", "operators"),
    [
        ("toy/acnet_r18", 1, 430),
        ("toy/acnet_r18", 4, 450),
        ("toy/table1/rfcn_r18", 4, 250),
        pytest.param("acne04/acnet_r101", 1, 1200, marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_predicting(config, batch, operators):
    model = instantiate(load_config(config).model).eval()
    model(inputs(1))  # anchors are made once
    with Operators() as counted:
        model(inputs(batch))
    assert counted.count <= operators
    assert counted.waits.total() <= 2, counted.waits


@torch.no_grad()
def test_predicting_parts_of_tiles():
    model = instantiate(load_config("toy/acnet_r18").model).eval()
    model(inputs(1))
    parts = [torch.tensor([0.0, 0, 60, 60]).numpy()] * 4
    with Operators() as counted:
        detect(model, inputs(4), parts)
    assert counted.waits.total() <= 3, counted.waits  # the third: which proposals are in the part


@pytest.mark.usefixtures("event_storage")
@pytest.mark.parametrize("batch", [2, 4])
@pytest.mark.parametrize(
    "config", ["toy/acnet_r18", "toy/table1/rfcn_r18", "toy/table1/faster_rcnn_r18_c4"]
)
def test_a_step_of_training(config, batch):
    model = instantiate(load_config(config).model).train()
    model(inputs(1, with_boxes=True))  # anchors are made once
    with Operators() as counted:
        sum(model(inputs(batch, with_boxes=True)).values()).backward()
    assert counted.waits.total() <= 3, counted.waits  # and one of the trainer's
    assert counted.count <= 1400


def test_waits_are_seen():
    values = torch.arange(4.0)
    with Operators() as counted:
        values[values > 1].sum().item()
        values.nonzero()
        values[torch.tensor([0, 1])]
        values.cpu()
    names = ("aten.index", "aten._local_scalar_dense", "aten.nonzero", "Tensor.cpu")
    assert counted.waits == dict.fromkeys(names, 1)
