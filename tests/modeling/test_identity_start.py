"""The tuned form starts as the baseline, and every parameter of it learns."""

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances

from acnet.modeling import (
    ChannelProjection,
    CompositeResNet,
    DynamicContextEnhancement,
    MaskAwareMultiAttention,
)


def _merged(bottom_up, **kwargs):
    return DynamicContextEnhancement(bottom_up=bottom_up, out_channels=16, reduction=4, **kwargs)


@pytest.fixture
def tuned(small_resnet):
    levels = CompositeResNet(lead=small_resnet(), assistant=small_resnet())
    return MaskAwareMultiAttention(
        bottom_up=_merged(levels, init="identity", shortcut=True),
        **{"width": 0.0625, "mask_channels": 8, "context_reduction": 4},
        **{"gate": "centred", "shortcut": True},
    )


@pytest.fixture
def baseline(tuned):
    """Return the baseline's path with the tuned form's weights, as far as it has them."""
    merged = tuned.bottom_up
    plain = _merged(merged.bottom_up.lead, enhance=False)
    plain.resize = merged.resize
    model = ChannelProjection(bottom_up=plain, out_channels=64, norm="BN")
    model.project = tuned.project
    return model


def test_the_full_model_starts_as_the_baseline(tuned, baseline):
    images = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(tuned(images)["p3"], baseline(images)["p3"])


def test_the_first_steps_reach_every_parameter(tuned):
    images = ImageList(torch.randn(2, 3, 64, 64), [(64, 64), (64, 64)])
    truth = [Instances((64, 64)), Instances((64, 64))]
    truth[0].gt_boxes = Boxes(torch.tensor([[4.0, 4.0, 20.0, 20.0]]))
    truth[1].gt_boxes = Boxes(torch.zeros(0, 4))
    weights = torch.randn(2, 64, 8, 8)
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.1)
    touched = set()
    # A layer behind one that is zero learns from the second step on; the assistant, behind the
    # connections' second-last layer, and a fusion behind its gain, likewise.
    for _ in range(3):
        features, losses = tuned.forward_with_losses(images, truth)
        optimizer.zero_grad()
        ((features["p3"] * weights).mean() + losses["loss_attention"]).backward()
        optimizer.step()
        touched |= {name for name, p in tuned.named_parameters() if p.grad.abs().sum() > 0}
    assert touched == {name for name, _ in tuned.named_parameters()}
