"""ACNet for users of yaml configs: keys, and the backbone that they describe."""

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicStem

from .attention_blocks import inception_channels
from .composite_backbone import LEVELS, CompositeResNet, RefinedResNet
from .dynamic_context_enhancement import DynamicContextEnhancement
from .mask_aware_multi_attention import ChannelProjection, MaskAwareMultiAttention
from .resnet import block_arguments, make_resnet_stages


def add_acnet_config(cfg: CfgNode) -> None:
    """Add ACNet's keys to a config of `detectron2.config.get_cfg()`, and set the paper's values.

    Example:
        cfg = get_cfg()
        add_acnet_config(cfg)
        model = detectron2.modeling.build_model(cfg)
    """
    acnet = cfg.MODEL.ACNET = CfgNode()
    acnet.COMPOSITE = True  # the second backbone (CB)
    acnet.REFINEMENT = True  # FRM
    acnet.ZERO_INIT = True
    acnet.NORM = "BN"  # of the new layers
    acnet.PROJECTION_NORM = ""  # of the convolution in the place of MAMA
    acnet.CHANNELS_LAST = False
    acnet.BOX_NORMALIZER = "sampled"  # "positives" is Eq. (6) as it is written

    acnet.DCE = CfgNode()
    acnet.DCE.ENABLED = True  # False adds the resized levels up
    acnet.DCE.IN_FEATURES = ["res2", "res3", "res4"]
    acnet.DCE.OUT_CHANNELS = 512
    acnet.DCE.DILATIONS = [1, 2, 3]
    acnet.DCE.REDUCTION = 16
    acnet.DCE.INIT = "xavier"
    acnet.DCE.SHORTCUT = False

    acnet.MAMA = CfgNode()
    acnet.MAMA.ENABLED = True  # False puts a 1x1 convolution to 1024 channels in its place
    acnet.MAMA.WIDTH = 1.0
    acnet.MAMA.MASK_CHANNELS = 256
    acnet.MAMA.GATE = "product"
    acnet.MAMA.SHORTCUT = False
    acnet.MAMA.LOSS_WEIGHT = 1.0

    acnet.RFCN = CfgNode()  # read by the heads "RFCNROIHeads"
    acnet.RFCN.NUM_BINS = 7
    acnet.RFCN.HIDDEN_CHANNELS = 1024
    acnet.RFCN.VOTE_GAIN = 1.0

    acnet.SOFT_NMS = CfgNode()
    acnet.SOFT_NMS.METHOD = "linear"
    acnet.SOFT_NMS.SIGMA = 0.5
    acnet.SOFT_NMS.SCORE_FLOOR = 1e-3

    _set_paper_values(cfg)


def _set_paper_values(cfg: CfgNode) -> None:
    """Keys of detectron2 that the paper fixes (IV-A.1)."""
    _set_model(cfg)
    # Tiles of 640x640 and smaller photos as they are. 0 is detectron2's value for no resizing.
    cfg.INPUT.MIN_SIZE_TRAIN = (0,)
    cfg.INPUT.MIN_SIZE_TEST = 0
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False  # tiles are chosen when they are cut
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.SOLVER.BASE_LR = 1e-4
    cfg.SOLVER.GAMMA = 0.1
    cfg.SOLVER.WARMUP_ITERS = 0
    # 30 epochs, in iterations as detectron2 counts: 30 * tiles / 4. NOT IN PAPER: how many tiles;
    # about 45,000 with all that hold a box and a tenth of the others. Set it for your data.
    cfg.SOLVER.MAX_ITER = 30 * 45_000 // 4
    cfg.SOLVER.STEPS = (10 * 45_000 // 4, 20 * 45_000 // 4)


def _set_model(cfg: CfgNode) -> None:
    cfg.MODEL.META_ARCHITECTURE = "ACNet"
    cfg.MODEL.WEIGHTS = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
    cfg.MODEL.BACKBONE.NAME = "build_acnet_backbone"
    cfg.MODEL.RESNETS.DEPTH = 101
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32, 64, 128, 256]]
    cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "BestFirstRPN"
    cfg.MODEL.RPN.IN_FEATURES = ["p3"]
    cfg.MODEL.RPN.HEAD_NAME = "Float32RPNHead"
    cfg.MODEL.RPN.CONV_DIMS = [512]
    cfg.MODEL.RPN.SMOOTH_L1_BETA = 1.0 / 9
    cfg.MODEL.RPN.PRE_NMS_TOPK_TRAIN = 12000
    cfg.MODEL.RPN.PRE_NMS_TOPK_TEST = 6000
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = 2000
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 300
    cfg.MODEL.ROI_HEADS.NAME = "SoftNMSRes5ROIHeads"
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p3"]
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 1
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 1e-3
    cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST = 0.3
    cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 14
    cfg.MODEL.ROI_BOX_HEAD.POOLER_TYPE = "ROIAlignV2"
    cfg.MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA = 1.0
    cfg.TEST.DETECTIONS_PER_IMAGE = 300


@BACKBONE_REGISTRY.register()
def build_acnet_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build what `cfg.MODEL.ACNET` describes: a backbone with the one output "p3" (stride 8)."""
    acnet = cfg.MODEL.ACNET
    merged = DynamicContextEnhancement(
        bottom_up=_build_levels(cfg, input_shape),
        in_features=acnet.DCE.IN_FEATURES,
        out_channels=acnet.DCE.OUT_CHANNELS,
        dilations=acnet.DCE.DILATIONS,
        reduction=acnet.DCE.REDUCTION,
        enhance=acnet.DCE.ENABLED,
        init=acnet.DCE.INIT,
        shortcut=acnet.DCE.ENABLED and acnet.DCE.SHORTCUT,
    )
    if not acnet.MAMA.ENABLED:
        channels = inception_channels(acnet.MAMA.WIDTH)  # as MAMA would give
        return ChannelProjection(
            bottom_up=merged, out_channels=channels, norm=acnet.PROJECTION_NORM
        )
    return MaskAwareMultiAttention(
        bottom_up=merged,
        width=acnet.MAMA.WIDTH,
        mask_channels=acnet.MAMA.MASK_CHANNELS,
        norm=acnet.NORM,
        gate=acnet.MAMA.GATE,
        shortcut=acnet.MAMA.SHORTCUT,
        loss_weight=acnet.MAMA.LOSS_WEIGHT,
    )


def _build_levels(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """One or two ResNets, with or without feature refinement."""
    acnet = cfg.MODEL.ACNET
    new_layers = {
        "out_features": acnet.DCE.IN_FEATURES,
        "norm": acnet.NORM,
        "zero_init": acnet.ZERO_INIT,
    }
    lead = _build_resnet(cfg, input_shape)
    if acnet.COMPOSITE:
        return CompositeResNet(
            lead=lead,
            assistant=_build_resnet(cfg, input_shape),
            connection="refine" if acnet.REFINEMENT else "plain",
            **new_layers,
        )
    return RefinedResNet(bottom_up=lead, **new_layers) if acnet.REFINEMENT else lead


def _build_resnet(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    resnets = cfg.MODEL.RESNETS
    return ResNet(
        BasicStem(input_shape.channels, resnets.STEM_OUT_CHANNELS, resnets.NORM),
        make_resnet_stages(
            resnets.DEPTH, stem_channels=resnets.STEM_OUT_CHANNELS, **block_arguments(cfg)
        ),
        out_features=list(LEVELS),
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
