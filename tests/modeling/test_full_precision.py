import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.structures import Boxes

from acnet.modeling import Float32ROIPooler, Float32RPNHead

POOLER = {"output_size": 4, "scales": (1 / 8,), "sampling_ratio": 2, "pooler_type": "ROIAlignV2"}
# 601.3 becomes 600 in bfloat16, whose grid is 4 wide there.
BOX = [Boxes(torch.tensor([[601.3, 401.7, 622.9, 419.2]]))]


def _ramp(dtype):
    """A map whose value is the column, so that a shifted box shows."""
    return torch.arange(80.0).expand(1, 1, 80, 80).to(dtype)


def test_boxes_keep_their_place_under_bfloat16():
    exact = ROIPooler(**POOLER)([_ramp(torch.float32)], BOX)
    with torch.autocast("cpu", torch.bfloat16):
        ours = Float32ROIPooler(**POOLER)([_ramp(torch.bfloat16)], BOX)
    assert ours.dtype == torch.bfloat16
    # Only the result is rounded: to a multiple of 0.5 at this height of the ramp.
    torch.testing.assert_close(ours.float(), exact, rtol=0, atol=0.25)


def test_in_float32_it_is_detectron2_s_pooler():
    torch.testing.assert_close(
        Float32ROIPooler(**POOLER)([_ramp(torch.float32)], BOX),
        ROIPooler(**POOLER)([_ramp(torch.float32)], BOX),
    )


def test_no_boxes():
    pooled = Float32ROIPooler(**POOLER)([_ramp(torch.float32)], [Boxes(torch.zeros(0, 4))])
    assert pooled.shape == (0, 1, 4, 4)


def test_rpn_head_predicts_in_float32():
    head = Float32RPNHead(in_channels=8, num_anchors=3, conv_dims=[8])
    features = [torch.randn(1, 8, 5, 6)]
    plain = StandardRPNHead(in_channels=8, num_anchors=3, conv_dims=[8])
    plain.load_state_dict(head.state_dict())
    for ours, theirs in zip(head(features), plain(features), strict=True):
        torch.testing.assert_close(ours[0], theirs[0])
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = head(features)
    assert logits[0].dtype == deltas[0].dtype == torch.float32
    assert logits[0].shape == (1, 3, 5, 6)
    assert deltas[0].shape == (1, 12, 5, 6)
