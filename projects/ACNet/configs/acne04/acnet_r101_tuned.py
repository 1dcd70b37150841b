"""ACNet on ACNE04, with parts that start as the identity and a warm learning rate. NOT IN PAPER.

    python projects/ACNet/train_net.py --config-file acne04/acnet_r101_tuned --num-gpus 2

From pretrained weights the whole computes at step 0 what the baseline computes;
docs/lab/components.md says why, and what it gains in small. The paper's 1e-4 is a fiftieth of what
the usual recipe of Faster R-CNN gives for its batch: 0.02 for 16 images, scaled linearly. Not
measured here: it needs ACNE04 and two GPUs.
"""

from .acnet_r101 import dataloader, lr_multiplier, model, optimizer, train
from ..common.models.backbone import TUNED, acnet_backbone
from ..common.optim import warm_step_30_epochs as lr_multiplier

model.backbone = acnet_backbone(**TUNED)
train.output_dir = "output/acne04/acnet_r101_tuned"
optimizer.lr = 0.02 * dataloader.train.total_batch_size / 16  # 0.005
