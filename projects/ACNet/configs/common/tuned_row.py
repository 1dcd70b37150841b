"""What every row of `toy/tuned/` shares: `toy_row` with each part in its tuned form. NOT IN PAPER.

Data, schedule and heads are those of the letter's rows. `toy/table2/baseline`, `cb` and `cb_frm`
have no part that differs, so they have no twin.
"""

from .models.backbone import TUNED
from .toy_row import dataloader, lr_multiplier, model, optimizer, toy_backbone, train


def tuned_backbone(**switches):
    """`toy_backbone` whose parts start as the identity."""
    return toy_backbone(**TUNED, **switches)


model.backbone = tuned_backbone()
