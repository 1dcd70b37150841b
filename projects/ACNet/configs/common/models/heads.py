"""What the ROI heads of all rows share: the boxes that enter the loss, and the last layers."""

from detectron2.config import LazyCall as L
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher

from acnet.modeling import SoftNMSOutputLayers


def sampling(*, batch_size_per_image=512, positive_fraction=0.25):
    """Arguments of any `ROIHeads`. NOT IN PAPER: the values, as in SCRDet and detectron2."""
    return dict(
        num_classes=1,
        batch_size_per_image=batch_size_per_image,
        positive_fraction=positive_fraction,
        proposal_matcher=L(Matcher)(
            thresholds=[0.5], labels=[0, 1], allow_low_quality_matches=False
        ),
    )


def output_layers(cls=SoftNMSOutputLayers, **input_shape):
    """Scores and boxes of what has this shape, thinned out by Soft-NMS."""
    return L(cls)(
        input_shape=L(ShapeSpec)(**input_shape),
        test_topk_per_image=300,  # NOT IN PAPER: as many as there are proposals
        box2box_transform=L(Box2BoxTransform)(weights=(10.0, 10.0, 5.0, 5.0)),
        num_classes="${..num_classes}",
        smooth_l1_beta=1.0,
    )
