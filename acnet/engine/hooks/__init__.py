"""Hooks of the trainer, in the manner of detectron2's."""

from acnet.engine.hooks.checkpoints import BestCheckpoint, PeriodicCheckpointer
from acnet.engine.hooks.report import Report
from acnet.engine.hooks.seed_every_step import SeedEveryStep
from acnet.engine.hooks.stop_on_sigterm import StopOnSigterm

__all__ = ["BestCheckpoint", "PeriodicCheckpointer", "Report", "SeedEveryStep", "StopOnSigterm"]
