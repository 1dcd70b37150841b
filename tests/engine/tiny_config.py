"""The tiny task as a LazyConfig, with the keys of projects/ACNet/configs/common/train.py."""

# ruff: noqa: C408 - LazyConfig files are written with dict(...)

from detectron2.config import LazyCall as L
from detectron2.data import build_detection_test_loader
from detectron2.solver import WarmupParamScheduler
from detectron2.solver.build import get_default_optimizer_params
from fvcore.common.param_scheduler import MultiStepParamScheduler
from torch.optim import SGD

from acnet.engine.loader import build_train_loader
from tests.engine.tiny_task import TinyDetector, TinyEvaluator, draw, look, make_dicts

train = dict(
    output_dir="",
    init_checkpoint="",
    max_iter=12,
    epochs=None,
    seed=42,
    device="auto",
    amp=dict(enabled=False, dtype="auto"),
    channels_last=False,
    accumulate=1,
    activation_checkpointing=False,
    clip_gradients=dict(enabled=False, clip_type="norm", clip_value=1.0, norm_type=2.0),
    ema=dict(enabled=False, decay=0.9995),
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    sync_bn=True,
    checkpointer=dict(period=3, max_to_keep=2),
    eval_period=4,
    log_period=1,
    best_metric="bbox/AP50",
    fast_dev_run=False,
    overwrite=False,
)
model = L(TinyDetector)()
optimizer = L(SGD)(params=L(get_default_optimizer_params)(), lr=0.1, momentum=0.9)
lr_multiplier = L(WarmupParamScheduler)(
    scheduler=L(MultiStepParamScheduler)(values=[1, 0.1], milestones=[8], num_updates=12),
    warmup_length=0.25,
    warmup_factor=0.01,
)
dataloader = dict(
    train=L(build_train_loader)(
        dataset=L(make_dicts)(),
        mapper=draw,
        total_batch_size=4,
        num_workers=0,
        seed="${train.seed}",
    ),
    test=L(build_detection_test_loader)(dataset=L(make_dicts)(), mapper=look, num_workers=0),
    evaluator=L(TinyEvaluator)(),
)
