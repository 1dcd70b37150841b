"""Random numbers as a function of where the training is, so that nothing has to be saved."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*numbers: int) -> int:
    """Mix several non-negative integers into one well spread seed.

    Args:
        numbers: what the seed depends on, such as (run's seed, iteration, rank).

    Returns:
        An integer in [0, 2^32), the same on every machine.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (every device) at once.

    Args:
        seed: an integer in [0, 2^32).
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - detectron2's augmentations draw from this generator
    torch.manual_seed(seed)


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed the CPU's generators inside the block and put their former state back after it.

    Args:
        seed: an integer in [0, 2^32).
    """
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - as above
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
