"""Training and evaluation: launching, the trainer, its data order, hooks and files."""

from acnet.engine.loader import TrainLoader, build_train_loader

__all__ = ["TrainLoader", "build_train_loader"]
