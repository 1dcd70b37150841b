"""ACNet for the bundled weights, 4 million parameters: 8 MB in float16. NOT IN PAPER.

All parts of the paper in their tuned form, two thirds as wide as `acnet_r18`: where hours of a CPU
are what there is, twice the steps are worth more than the width. DCE has no shortcut, which came
after their training.
"""

from .acnet_r18 import model, small
from .backbone import TUNED, acnet_backbone

demo = {**small, **TUNED}
demo.update(
    enhancement_shortcut=False,
    resnet_config=dict(depth=18, stem_channels=32, norm="BN", freeze_at=0),
    merged_channels=64,
    out_channels=192,
    attention_width=0.1875,
    mask_channels=48,
)

model.backbone = acnet_backbone(**demo)
model.proposal_generator.head.in_channels = 192
model.proposal_generator.head.conv_dims = [96]
model.roi_heads.box_head.input_shape.channels = 192
model.roi_heads.box_head.fc_dims = [192, 192]
model.roi_heads.box_predictor.input_shape.channels = 192
