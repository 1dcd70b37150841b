"""ACNet as in the paper: dual ResNet-101, merged at stride 8, box head res5 (IV-A.1)."""

from detectron2.config import LazyCall as L
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher

from acnet.modeling import (
    ACNet,
    BestFirstRPN,
    Float32ROIPooler,
    Float32RPNHead,
    SoftNMSRes5ROIHeads,
    make_resnet_stage,
)

from .backbone import acnet_backbone
from .heads import output_layers, sampling

model = L(ACNet)(
    backbone=acnet_backbone(),
    proposal_generator=L(BestFirstRPN)(
        in_features=["p3"],
        head=L(Float32RPNHead)(in_channels=1024, num_anchors=12, conv_dims=[512]),
        anchor_generator=L(DefaultAnchorGenerator)(
            sizes=[[256 * 2**k for k in (-3, -2, -1, 0)]],  # "from 2^-3 to 2^0"
            aspect_ratios=[0.5, 1.0, 2.0],
            strides=[8],
            offset=0.0,
        ),
        anchor_matcher=L(Matcher)(
            thresholds=[0.3, 0.7], labels=[0, -1, 1], allow_low_quality_matches=True
        ),
        box2box_transform=L(Box2BoxTransform)(weights=[1.0, 1.0, 1.0, 1.0]),
        # NOT IN PAPER: from here to the end of the RPN, as in Faster R-CNN [1].
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_topk=(12000, 6000),
        post_nms_topk=(2000, 300),
        nms_thresh=0.7,
        smooth_l1_beta=1 / 9,
    ),
    roi_heads=L(SoftNMSRes5ROIHeads)(
        **sampling(),
        in_features=["p3"],
        pooler=L(Float32ROIPooler)(
            output_size=14, scales=(1.0 / 8,), sampling_ratio=0, pooler_type="ROIAlignV2"
        ),
        res5=L(make_resnet_stage)(depth=101, stage=5, norm="FrozenBN", stride_in_1x1=True),
        box_predictor=output_layers(channels=2048),
    ),
    # What MSRA's R-101.pkl was trained with.
    pixel_mean=[103.530, 116.280, 123.675],
    pixel_std=[1.0, 1.0, 1.0],
    input_format="BGR",
    channels_last="${train.channels_last}",
)
