"""Random numbers of each training step from its iteration alone."""

from detectron2.engine import HookBase
from detectron2.utils import comm

from acnet.engine.seeding import derive_seed, seed_everything


class SeedEveryStep(HookBase):
    """Reseed Python, numpy and torch before each step from (seed, iteration, rank).

    So a resumed run draws the random numbers of an unbroken one without a saved generator state,
    whatever an evaluation in between has drawn.

    Args:
        seed: of the run, non-negative.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def before_step(self) -> None:
        """Seed for the iteration that follows."""
        seed_everything(derive_seed(self._seed, self.trainer.iter, comm.get_rank()))
