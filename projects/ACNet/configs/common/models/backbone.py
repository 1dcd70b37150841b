"""The feature path of ACNet with a switch for each part: every row of Tables II and III."""

from detectron2.config import LazyCall as L
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicStem

from acnet.modeling import (
    ChannelProjection,
    CompositeResNet,
    DynamicContextEnhancement,
    MaskAwareMultiAttention,
    RefinedResNet,
    make_resnet_stages,
)

RESNET_101 = dict(depth=101)

# NOT IN PAPER: every part starts as the identity, so that the whole starts as the baseline, both
# with a normalised map; and the mask's loss, two to three times the RPN's at weight 1, weighs less.
# What this changes is in docs/lab/components.md.
TUNED = dict(
    enhancement_init="identity",
    enhancement_shortcut=True,
    attention_shortcut=True,
    attention_gate="centred",
    attention_loss_weight=0.2,
    projection_norm="BN",
)


def resnet(*, depth, stem_channels=64, norm="FrozenBN", freeze_at=2):
    """One ResNet up to res4; `depth` 50 and above take MSRA's weights (stride in the 1x1)."""
    blocks = dict(norm=norm)
    if depth >= 50:
        blocks["stride_in_1x1"] = True
    return L(ResNet)(
        stem=L(BasicStem)(in_channels=3, out_channels=stem_channels, norm=norm),
        stages=L(make_resnet_stages)(depth=depth, stem_channels=stem_channels, **blocks),
        out_features=["stem", "res2", "res3", "res4"],
        freeze_at=freeze_at,
    )


def levels(*, composite, refinement, resnet_config, in_features):
    """L1 to L4 of one ResNet or two (CB), with or without FRM."""
    if composite:
        return L(CompositeResNet)(
            lead=resnet(**resnet_config),
            assistant=resnet(**resnet_config),
            out_features=in_features,
            connection="refine" if refinement else "plain",
        )
    if refinement:
        return L(RefinedResNet)(bottom_up=resnet(**resnet_config), out_features=in_features)
    return resnet(**resnet_config)


def acnet_backbone(
    *,
    composite=True,  # CB
    refinement=True,  # FRM
    enhancement=True,  # DCE; False adds the resized levels up
    attention=True,  # MAMA; False is a 1x1 convolution
    in_features=("res2", "res3", "res4"),  # L2 to L4
    resnet_config=RESNET_101,
    merged_channels=512,
    out_channels=1024,
    attention_width=1.0,
    mask_channels=256,
    attention_gate="product",
    enhancement_init="xavier",
    enhancement_shortcut=False,
    attention_shortcut=False,
    attention_loss_weight=1.0,
    projection_norm="",
):
    """Everything between the image and the RPN."""
    in_features = list(in_features)
    merged = L(DynamicContextEnhancement)(
        bottom_up=levels(
            composite=composite,
            refinement=refinement,
            resnet_config=resnet_config,
            in_features=in_features,
        ),
        in_features=in_features,
        reference="res3",
        out_channels=merged_channels,
        enhance=enhancement,
        init=enhancement_init,
        shortcut=enhancement and enhancement_shortcut,
    )
    if attention:
        return L(MaskAwareMultiAttention)(
            bottom_up=merged,
            width=attention_width,
            mask_channels=mask_channels,
            gate=attention_gate,
            shortcut=attention_shortcut,
            loss_weight=attention_loss_weight,
        )
    return L(ChannelProjection)(bottom_up=merged, out_channels=out_channels, norm=projection_norm)
