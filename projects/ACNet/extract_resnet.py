#!/usr/bin/env python
"""Take the ResNet out of a trained detector, as a file like those with ImageNet's weights.

Given as `train.init_checkpoint`, it fills every ResNet of a model of the same widths.

example:
  python projects/ACNet/extract_resnet.py output/toy/stand_in/model_final.pth \\
      output/toy/stand_in/resnet.pth
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this clone

import torch

from acnet.checkpoint.conventions import CONVENTIONS_KEY, Naming
from acnet.checkpoint.imagenet import sort_weights
from acnet.checkpoint.safe_load import read_checkpoint
from acnet.errors import UserError
from acnet.files import durable_write

STEM = "stem.conv1.weight"  # the first weight of each ResNet


def resnet_of(weights: dict[str, torch.Tensor], source: str) -> dict[str, torch.Tensor]:
    """Return the weights of a detector's one ResNet, by detectron2's names for a classifier's.

    Raises:
        UserError: there is no ResNet, or more than one.
    """
    places = [name.removesuffix(STEM) for name in weights if name.endswith(f".{STEM}")]
    if len(places) != 1:
        raise UserError(
            "Weights of a ResNet are taken out of a detector that has one. Received "
            f"{source}, which has {len(places)}. Give a checkpoint of a single backbone."
        )
    # res5 as box head is the last stage of the same ResNet.
    prefix = re.compile(rf"{re.escape(places[0])}|roi_heads\.(?=res5\.)")
    own = {prefix.sub("", name, count=1): value for name, value in weights.items()}
    return sort_weights(own, Naming.DETECTRON2)[0]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this program's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="checkpoint of a detector")
    parser.add_argument("output", type=Path, help="file to write")
    return parser


def main() -> None:
    """Read a checkpoint, and write its ResNet."""
    parser = build_parser()
    args = parser.parse_args()
    try:
        checkpoint = read_checkpoint(args.source)
        content = {"model": resnet_of(checkpoint["model"], args.source)}
    except UserError as error:
        parser.exit(2, f"extract_resnet: error: {error}\n")
    if CONVENTIONS_KEY in checkpoint:  # what input they expect
        content[CONVENTIONS_KEY] = checkpoint[CONVENTIONS_KEY]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with durable_write(args.output) as temporary:
        torch.save(content, temporary)


if __name__ == "__main__":
    main()
