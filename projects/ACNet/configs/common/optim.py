"""SGD and AdamW, and learning-rate schedules as functions of the fraction of a run that is done."""

import torch
from detectron2.config import LazyCall as L
from detectron2.solver import WarmupParamScheduler
from detectron2.solver.build import get_default_optimizer_params
from fvcore.common.param_scheduler import CosineParamScheduler, MultiStepParamScheduler

# NOT IN PAPER: momentum and weight decay; detectron2's defaults.
SGD = L(torch.optim.SGD)(
    params=L(get_default_optimizer_params)(weight_decay_norm=0.0),
    lr=1e-4,
    momentum=0.9,
    weight_decay=1e-4,
)

# NOT IN PAPER: for short runs from random weights. Its steps do not depend on the scale of the map
# that the RPN reads; see docs/lab/components.md.
AdamW = L(torch.optim.AdamW)(
    params=L(get_default_optimizer_params)(weight_decay_norm=0.0, weight_decay_bias=0.0),
    lr=1e-3,
    weight_decay=0.05,
)

# IV-A.1: "trained for 30 epochs [...] decreased by a factor of 10 after every 10 epochs".
step_30_epochs = L(MultiStepParamScheduler)(
    values=[1, 0.1, 0.01], milestones=[10, 20], num_updates=30
)

# NOT IN PAPER: warm-up, over the given fraction of the run.
warm_step_30_epochs = L(WarmupParamScheduler)(
    scheduler=step_30_epochs, warmup_length=0.01, warmup_factor=0.001
)

# NOT IN PAPER: for short runs from random weights.
warm_cosine = L(WarmupParamScheduler)(
    scheduler=L(CosineParamScheduler)(start_value=1, end_value=0),
    warmup_length=0.1,
    warmup_factor=0.01,
)
