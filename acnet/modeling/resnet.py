"""ResNets of any width: detectron2's stages, scaled down for a CPU."""

from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock

_BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class DilatedBasicBlock(BasicBlock):
    """`BasicBlock` with detectron2's `dilation` for bottlenecks. NOT IN PAPER: for small R-FCNs."""

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1, **kwargs):
        """
        Args:
            in_channels, out_channels, kwargs: see `BasicBlock`.
            dilation: of both 3x3 convolutions.
        """
        super().__init__(in_channels, out_channels, **kwargs)
        for conv in (self.conv1, self.conv2):
            conv.dilation = conv.padding = (dilation, dilation)


def block_arguments(cfg: CfgNode) -> dict:
    """What a yaml config says of a ResNet's blocks; a basic block has no 1x1 to stride in.

    Returns:
        Arguments for `make_resnet_stage` beside depth, stage and width.
    """
    resnets = cfg.MODEL.RESNETS
    bottleneck = {"stride_in_1x1": resnets.STRIDE_IN_1X1} if resnets.DEPTH >= 50 else {}
    return {"norm": resnets.NORM, **bottleneck}


def make_resnet_stages(
    depth: int, *, stem_channels: int = 64, num_stages: int = 3, **kwargs
) -> list[list[CNNBlockBase]]:
    """Build the blocks of the first stages (res2 and on) of a ResNet, for each stage a list.

    `ResNet.make_default_stages` fixes the widths; here they follow the stem.

    Args:
        depth: 18, 34, 50 or 101.
        stem_channels: channels of the stem; res2 has as many (18, 34) or four times (50, 101).
        num_stages: how many stages; 3 ends with res4.
        kwargs: for each block, such as `norm` or `stride_in_1x1`.

    Raises:
        ValueError: for an unknown depth.
    """
    return [
        make_resnet_stage(depth, stage, stem_channels=stem_channels, **kwargs)
        for stage in range(2, 2 + num_stages)
    ]


def make_resnet_stage(
    depth: int, stage: int, *, stem_channels: int = 64, dilation: int = 1, **kwargs
) -> list[CNNBlockBase]:
    """One stage of a ResNet: `make_resnet_stage(101, 5)` is the box head of a C4 detector.

    Dilated by 2, a stage that strides in a 1x1 convolution gives at every second cell what it gives
    with its stride, so ImageNet weights mean the same.

    Args:
        depth, stem_channels, kwargs: see `make_resnet_stages`.
        stage: 2 to 5.
        dilation: of the 3x3 convolutions; above 1 the stage keeps the size of its input, as with
            detectron2's RES5_DILATION.

    Returns:
        Its blocks; the first one halves the size, but for stage 2.

    Raises:
        ValueError: for an unknown depth or stage.
    """
    if depth not in _BLOCKS_PER_STAGE or stage not in (2, 3, 4, 5):
        raise ValueError(
            f"Depths are {tuple(_BLOCKS_PER_STAGE)} and stages 2 to 5. "
            f"Received depth={depth}, stage={stage}."
        )
    is_basic = depth < 50
    expansion = 1 if is_basic else 4
    bottleneck_channels = stem_channels * 2 ** (stage - 2)
    num_blocks = _BLOCKS_PER_STAGE[depth][stage - 2]
    if not is_basic:
        kwargs["bottleneck_channels"] = bottleneck_channels
    return ResNet.make_stage(
        DilatedBasicBlock if is_basic else BottleneckBlock,
        num_blocks,
        stride_per_block=[1 if stage == 2 or dilation > 1 else 2] + [1] * (num_blocks - 1),
        dilation=dilation,
        in_channels=stem_channels if stage == 2 else bottleneck_channels // 2 * expansion,
        out_channels=bottleneck_channels * expansion,
        **kwargs,
    )
