import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances

from acnet.modeling import (
    ChannelProjection,
    ContextAttention,
    DynamicContextEnhancement,
    MaskAwareMultiAttention,
    StreamlinedInception,
)


@pytest.fixture
def merged(small_resnet):
    return DynamicContextEnhancement(bottom_up=small_resnet(), out_channels=16)


def _mama(merged, **kwargs):
    return MaskAwareMultiAttention(bottom_up=merged, width=0.0625, mask_channels=8, **kwargs)


def _ground_truth(height, width, boxes):
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return instances


def test_inception_has_the_widths_of_block_b():
    inception = StreamlinedInception(in_channels=512)
    assert inception.out_channels == 384 + 256 + 256 + 128 == 1024
    assert inception(torch.randn(1, 512, 5, 7)).shape == (1, 1024, 5, 7)
    # Weights by hand: branch by branch, in channels * kernel * out channels; BN adds 2 a channel.
    by_hand = 512 * 384
    by_hand += 512 * 192 + 192 * 7 * 224 + 224 * 7 * 256
    by_hand += 512 * 192 + 192 * 7 * 192 + 192 * 7 * 224 + 224 * 7 * 224 + 224 * 7 * 256
    by_hand += 512 * 128
    by_hand += 2 * (384 + 192 + 224 + 256 + 192 + 192 + 224 + 224 + 256 + 128)
    assert sum(parameter.numel() for parameter in inception.parameters()) == by_hand


def test_inception_keeps_the_scale_of_its_input_in_every_branch():
    # What N(0, 0.01) would break: the long branch must not starve before BN has learnt anything.
    inception = StreamlinedInception(in_channels=64, width=0.25).eval()
    features = torch.rand(2, 64, 16, 16)
    outputs = inception(features).split([96, 64, 64, 32], dim=1)
    for branch in outputs:
        assert 0.1 < branch.std() / features.std() < 10


def test_context_attention_equals_a_loop_over_positions():
    # A LayerNorm over the 2 hidden channels of a reduction of 16 would forget all but their order.
    block = ContextAttention(channels=32, reduction=4)
    torch.nn.init.normal_(block.transform[-1].weight)
    features = torch.randn(2, 32, 3, 4)
    for image in range(2):
        weights = torch.softmax(block.key(features)[image].flatten(), dim=0)
        positions = features[image].flatten(1).T  # (HW, C)
        context = sum(w * position for w, position in zip(weights, positions, strict=True))
        expected = features[image] + block.transform(context.view(1, 32, 1, 1))[0]
        torch.testing.assert_close(block(features)[image], expected)


@pytest.mark.parametrize(
    ("gate", "offset"), [("product", 0.0), ("centred", 0.5), ("residual", 1.0), ("sum", None)]
)
def test_gates(merged, gate, offset):
    model = _mama(merged, gate=gate).eval()
    torch.nn.init.normal_(model.mask_attention.logits.weight)
    level = torch.randn(1, 16, 4, 4)
    features = model.inception(level)
    saliency = torch.sigmoid(model.mask_attention(features))
    attended, _ = model.attend(level)
    context = model.context_attention(features)
    expected = saliency * features + context if gate == "sum" else (offset + saliency) * context
    torch.testing.assert_close(attended, expected)


def test_training_and_inference_give_the_same_features(merged):
    model = _mama(merged).eval()
    images = ImageList(torch.randn(2, 3, 64, 64), [(64, 64), (50, 60)])
    truth = [_ground_truth(64, 64, [[4, 4, 20, 20]]), _ground_truth(50, 60, [])]
    features, losses = model.forward_with_losses(images, truth)
    torch.testing.assert_close(features["p3"], model(images.tensor, images.image_sizes)["p3"])
    assert list(losses) == ["loss_attention"]
    saliency = torch.sigmoid(model.attend(model.bottom_up(images.tensor)["p3"])[1])
    torch.testing.assert_close(model.saliency(images.tensor), saliency)


def test_every_parameter_gets_a_gradient(merged, assert_every_gradient):
    model = _mama(merged)
    torch.nn.init.normal_(model.context_attention.transform[-1].weight)
    images = ImageList(torch.randn(2, 3, 64, 64), [(64, 64), (64, 64)])
    truth = [_ground_truth(64, 64, [[4, 4, 20, 20]]), _ground_truth(64, 64, [])]
    features, losses = model.forward_with_losses(images, truth)
    (features["p3"].square().mean() + losses["loss_attention"]).backward()
    assert_every_gradient(model)


def test_shortcut_adds_the_inception_network_by_a_gain(merged):
    model = _mama(merged, shortcut=True).eval()
    torch.nn.init.normal_(model.gain)
    torch.nn.init.constant_(model.mask_attention.logits.bias, 50.0)  # an open gate
    level = torch.randn(1, 16, 4, 4)
    features = model.project(level) + model.gain * model.inception(level)
    torch.testing.assert_close(model.attend(level)[0], model.context_attention(features))


def test_weight_zero_leaves_the_mask_unsupervised(merged):
    model = _mama(merged, loss_weight=0.0)
    images = ImageList(torch.randn(1, 3, 64, 64), [(64, 64)])
    assert model.forward_with_losses(images, [_ground_truth(64, 64, [])])[1] == {}


def test_projection_keeps_name_and_stride(merged):
    model = ChannelProjection(bottom_up=merged, out_channels=24)
    level = model(torch.randn(1, 3, 64, 96))["p3"]
    assert level.shape == (1, 24, 8, 12)
    assert (model.output_shape()["p3"].channels, model.output_shape()["p3"].stride) == (24, 8)


def test_unknown_gate_is_named(merged):
    with pytest.raises(ValueError, match=r"product.*'open'"):
        _mama(merged, gate="open")
