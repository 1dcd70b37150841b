"""Small models: ResNet-18 with a stem of 8 channels, so L1 to L4 have 8, 8, 16 and 32."""

from collections.abc import Callable

import pytest
import torch
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicStem
from detectron2.structures import Boxes, Instances
from torch import nn

from acnet.modeling import make_resnet_stages


@pytest.fixture
def small_resnet() -> Callable[..., ResNet]:
    """Return a builder of small ResNets."""

    def build(norm: str = "BN", freeze_at: int = 0) -> ResNet:
        return ResNet(
            BasicStem(out_channels=8, norm=norm),
            make_resnet_stages(18, stem_channels=8, norm=norm),
            out_features=["stem", "res2", "res3", "res4"],
            freeze_at=freeze_at,
        )

    return build


@pytest.fixture
def training_input() -> Callable[..., dict]:
    """Return a builder of one image with ground truth, as a DatasetMapper would give it."""

    def build(height: int, width: int, boxes: list[list[float]]) -> dict:
        instances = Instances((height, width))
        instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        instances.gt_classes = torch.zeros(len(boxes), dtype=torch.long)
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        return {"image": image, "instances": instances, "height": height, "width": width}

    return build


@pytest.fixture
def assert_every_gradient() -> Callable[[nn.Module], None]:
    """Return a check that a backward pass reached every parameter."""

    def check(module: nn.Module) -> None:
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    return check
