import pytest
from detectron2.modeling.backbone import ResNet

from acnet.modeling import make_resnet_stage, make_resnet_stages


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


def test_the_last_stage_alone_is_the_box_head_of_a_c4_detector():
    blocks = make_resnet_stage(101, 5)
    assert [block.stride for block in blocks] == [2, 1, 1]
    assert (blocks[0].in_channels, blocks[-1].out_channels) == (1024, 2048)


def test_width_follows_the_stem():
    channels = [stage[-1].out_channels for stage in make_resnet_stages(18, stem_channels=48)]
    assert channels == [48, 96, 192]


@pytest.mark.parametrize(("depth", "stage"), [(20, 2), (18, 6)])
def test_unknown_depth_or_stage_is_named(depth, stage):
    with pytest.raises(ValueError, match=f"depth={depth}, stage={stage}"):
        make_resnet_stage(depth, stage)
