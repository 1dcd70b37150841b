"""What every row of `toy/tuned/` shares: `toy_row` in the tuned form, by AdamW. NOT IN PAPER.

Data, schedule and heads are those of the rows in the paper form, and the baseline is tuned too.
"""

from .models.backbone import TUNED
from .optim import AdamW as optimizer
from .toy_row import dataloader, lr_multiplier, model, toy_backbone, train


def tuned_backbone(**switches):
    """`toy_backbone` in the tuned form."""
    return toy_backbone(**TUNED, **switches)


model.backbone = tuned_backbone()
