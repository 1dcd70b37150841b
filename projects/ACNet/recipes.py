#!/usr/bin/env python
"""Estimate what the paper's training takes on GPUs: hours, memory, learning rate, command line.

Nothing is computed and no GPU is needed: work is counted layer by layer, and memory is weighed on
tensors without numbers. The output is the tables of docs/recipes.md.
"""

import argparse
import functools
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a clone that is not installed

import torch
from detectron2.config import instantiate
from omegaconf import DictConfig
from tabulate import tabulate

from acnet.config import load_config
from acnet.modeling.complexity import count_macs_by_layer
from acnet.modeling.recipe import CARDS, Card, Length, hours, linear_learning_rate
from acnet.modeling.step_memory import StepCost, StepOptions, step_cost

# NOT IN PAPER: what a GPU holds beside the step's tensors: CUDA's context and libraries (0.5 GiB),
# cuDNN's workspaces, and what the allocator keeps in pieces.
OVERHEAD_GIB, OVERHEAD_SHARE = 0.5, 0.1
PAPER_RATE, PAPER_BATCH = 1e-4, 4  # IV-A.1
USUAL_RATE, USUAL_BATCH = 0.02, 16  # of Faster R-CNN in detectron2
HALF = "train.amp.enabled=true train.channels_last=true"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train.

    Args:
        title: of the table's row.
        card: by name.
        cards: how many.
        step: of one card.
        config: by name.
        options: of the command line.
    """

    title: str
    card: str
    cards: int = 1
    step: StepOptions
    config: str = "acne04/acnet_r101"
    options: str = ""

    @property
    def batch_size(self) -> int:
        """Images of an optimizer's step."""
        return self.cards * self.step.images * self.step.parts


RECIPES = (
    Recipe(
        title="the paper's",
        card="Titan V",
        cards=2,
        step=StepOptions(images=2),
        options="--num-gpus 2",
    ),
    Recipe(
        title="the same, half precision",
        card="Titan V",
        cards=2,
        step=StepOptions(images=2, amp=True),
        options=f"--num-gpus 2 {HALF}",
    ),
    Recipe(
        title="one card of 24 GB",
        card="RTX 3090",
        step=StepOptions(images=4),
    ),
    Recipe(
        title="one card, half precision",
        card="RTX 3090",
        step=StepOptions(images=4, amp=True),
        options=HALF,
    ),
    Recipe(
        title="one card, in two parts",
        card="RTX 3090",
        step=StepOptions(images=2, parts=2, amp=True),
        options=f"{HALF} train.accumulate=2",
    ),
    Recipe(
        title="and activation checkpointing",
        card="RTX 3090",
        step=StepOptions(images=2, parts=2, amp=True, checkpointing=True),
        options=f"{HALF} train.accumulate=2 train.activation_checkpointing=true",
    ),
    Recipe(
        title="16 images, tuned learning rate",
        card="RTX 4090",
        step=StepOptions(images=4, parts=4, amp=True),
        config="acne04/acnet_r101_tuned",
        options=f"{HALF} train.accumulate=4 dataloader.train.total_batch_size=16 optimizer.lr=0.02",
    ),
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=int, default=Length.photos, help="of the training split; default 1165"
    )
    parser.add_argument(
        "--tiles", type=int, default=Length.tiles, help="of a photo, on average; default 94"
    )
    return parser


def image_macs(cfg: DictConfig, step: StepOptions, cost: StepCost) -> int:
    """Multiply-accumulates of one image in training."""
    with torch.device("meta"):
        model = instantiate(cfg.model)
    boxes = cfg.model.roi_heads.batch_size_per_image
    counted = count_macs_by_layer(model, step.image_hw, boxes, training=True)
    return sum(counted.values()) + cost.recomputed_macs


def memory_gib(cost: StepCost) -> float:
    """What `nvidia-smi` is expected to show."""
    return cost.peak_bytes / 2**30 * (1 + OVERHEAD_SHARE) + OVERHEAD_GIB


def estimate(recipe: Recipe, length: Length) -> tuple[str, ...]:
    """One row of the table."""
    cfg = load_config(recipe.config)
    cost = step_cost(functools.partial(instantiate, cfg.model), recipe.step)
    card: Card = CARDS[recipe.card]
    macs = image_macs(cfg, recipe.step, cost)
    low, high = hours(macs, length, card, amp=recipe.step.amp, cards=recipe.cards)
    step = recipe.step
    return (
        recipe.title,
        f"{recipe.cards} x {card.name}, {card.memory_gb} GB",
        f"{step.images} x {step.parts}" if step.parts > 1 else f"{step.images}",
        f"{cost.peak_bytes / 2**30:.1f}",
        f"{memory_gib(cost):.1f}",
        f"{2 * macs / 1e12:.2f}",
        f"{low:.0f} to {high:.0f}",
        f"{low * recipe.cards:.0f} to {high * recipe.cards:.0f}",
    )


def rate_rows(batch_sizes: Sequence[int]) -> list[tuple[str, ...]]:
    """Learning rates by batch."""
    return [
        (
            str(batch),
            f"{linear_learning_rate(batch, rate=PAPER_RATE, of_batch=PAPER_BATCH):g}",
            f"{linear_learning_rate(batch, rate=USUAL_RATE, of_batch=USUAL_BATCH):g}",
        )
        for batch in batch_sizes
    ]


def report(length: Length) -> str:
    """All tables, as Markdown."""
    header = (
        "recipe",
        "cards",
        "images at once",
        "tensors, GiB",
        "memory, GiB",
        "TFLOP an image",
        "hours",
        "GPU hours",
    )
    rows = [estimate(recipe, length) for recipe in RECIPES]
    commands = "\n\n".join(
        f"**{recipe.title}**\n\n```\npython projects/ACNet/train_net.py --config-file "
        f"{recipe.config}{' ' + recipe.options if recipe.options else ''}\n```"
        for recipe in RECIPES
    )
    tiles = length.epoch_tiles
    steps = {batch: length.iterations(batch) for batch in (4, 16)}
    return (
        f"{length.photos:,} photos of {length.tiles} tiles: {tiles:,} tiles an epoch, "
        f"{length.epochs} epochs, {steps[4]:,} iterations of 4 images or {steps[16]:,} of 16.\n\n"
        f"{_table(rows, header)}\n\n{commands}\n\n"
        + _table(rate_rows((1, 2, 4, 8, 16, 32)), ("images a step", "paper's", "usual"))
        + "\n"
    )


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    return tabulate(rows, header, "github", disable_numparse=True)


def main() -> None:
    """Print the tables."""
    args = build_parser().parse_args()
    sys.stdout.write(report(Length(photos=args.photos, tiles=args.tiles)))


if __name__ == "__main__":
    main()
