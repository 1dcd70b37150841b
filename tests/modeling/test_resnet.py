import copy

import pytest
import torch
from detectron2.modeling.backbone import ResNet

from acnet.modeling import make_resnet_stage, make_resnet_stages
from acnet.modeling.resnet import fold_frozen_norms


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_at_full_width_it_is_detectron2_s_resnet(depth):
    kwargs = {"norm": "BN"}
    theirs = ResNet.make_default_stages(depth, **kwargs)
    ours = make_resnet_stages(depth, num_stages=4, **kwargs)
    for mine, other in zip(ours, theirs, strict=True):
        for block, reference in zip(mine, other, strict=True):
            shapes = {name: p.shape for name, p in block.named_parameters()}
            assert shapes == {name: p.shape for name, p in reference.named_parameters()}
            assert block.stride == reference.stride


def test_widths_follow_the_stem_and_the_last_stage_is_the_box_head_of_a_c4_detector():
    channels = [stage[-1].out_channels for stage in make_resnet_stages(18, stem_channels=48)]
    assert channels == [48, 96, 192]
    blocks = make_resnet_stage(101, 5)
    assert [block.stride for block in blocks] == [2, 1, 1]
    assert (blocks[0].in_channels, blocks[-1].out_channels) == (1024, 2048)


def test_dilation_gives_the_strided_stage_s_cells_and_those_between():
    """The stride sits in a 1x1, so what follows works on every second cell; dilated by 2 it skips
    the cells between, and sees the same."""
    strided = make_resnet_stage(50, 5, stem_channels=4, norm="FrozenBN", stride_in_1x1=True)
    dilated = make_resnet_stage(
        50, 5, stem_channels=4, dilation=2, norm="FrozenBN", stride_in_1x1=True
    )
    strided, dilated = torch.nn.Sequential(*strided), torch.nn.Sequential(*dilated)
    dilated.load_state_dict(strided.state_dict())
    for size in ((9, 12), (8, 7)):
        x = torch.randn(1, 64, *size)
        assert dilated(x).shape[2:] == size
        torch.testing.assert_close(dilated(x)[:, :, ::2, ::2], strided(x))


def test_dilated_basic_blocks_keep_the_size_and_see_twice_as_far():
    # Two blocks of two 3x3 convolutions with holes of 2 reach 2 * 4 cells.
    stage = torch.nn.Sequential(*make_resnet_stage(18, 5, stem_channels=2, dilation=2, norm=""))
    x = torch.randn(1, 8, 1, 31, requires_grad=True)
    y = stage(x)
    assert y.shape[2:] == x.shape[2:]
    y[0, :, 0, 15].sum().backward()
    reached = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (15 - reached.min(), reached.max() - 15) == (8, 8)


@pytest.mark.parametrize(("depth", "stage"), [(20, 2), (18, 6)])
def test_unknown_depth_or_stage_is_named(depth, stage):
    with pytest.raises(ValueError, match=f"depth={depth}, stage={stage}"):
        make_resnet_stage(depth, stage)


@pytest.mark.parametrize("depth", [18, 50])
def test_folded_norms_give_the_same_maps_and_gradients(depth):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(*make_resnet_stage(depth, 3, stem_channels=8, norm="FrozenBN"))
    for name, buffer in plain.double().named_buffers():
        buffer.normal_() if name.endswith(("bias", "mean")) else buffer.uniform_(0.5, 1.5)
    folded = copy.deepcopy(plain)
    assert fold_frozen_norms(folded) == len(plain)
    image = torch.randn(2, plain[0].in_channels, 12, 14, dtype=torch.double)
    sides = []
    for stage in (plain, folded):
        x = image.clone().requires_grad_()
        maps = stage(x)
        maps.square().sum().backward()
        sides.append([maps, x.grad, *(weight.grad for weight in stage.parameters())])
    for one, other in zip(*sides, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 * one.abs().max().item())
    with torch.no_grad():
        assert torch.equal(folded(image), plain(image))
    assert folded.state_dict().keys() == plain.state_dict().keys()
    learning = torch.nn.Sequential(*make_resnet_stage(depth, 3, stem_channels=8, norm="BN"))
    assert fold_frozen_norms(learning) == 0
