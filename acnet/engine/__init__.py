"""Training and evaluation: launching, the trainer, its data order, hooks and files."""

from acnet.engine.evaluate import default_eval, evaluate_only
from acnet.engine.launch import launch
from acnet.engine.loader import TrainLoader, build_train_loader
from acnet.engine.run_folder import check_run, prepare_run
from acnet.engine.train import default_train

__all__ = [
    "TrainLoader",
    "build_train_loader",
    "check_run",
    "default_eval",
    "default_train",
    "evaluate_only",
    "launch",
    "prepare_run",
]
