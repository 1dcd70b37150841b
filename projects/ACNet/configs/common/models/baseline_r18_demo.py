"""`acnet_r18_demo` without the paper's parts, to compare with. NOT IN PAPER."""

from .acnet_r18_demo import demo, model
from .backbone import acnet_backbone

model.backbone = acnet_backbone(
    composite=False, refinement=False, enhancement=False, attention=False, **demo
)
