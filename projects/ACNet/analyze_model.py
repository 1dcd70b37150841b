#!/usr/bin/env python
"""Show how large a model is and what it computes, part by part, or time a step of it.

Sizes are counted without computing anything; a step runs on random images, with random weights.
"""

import argparse
import importlib.util
import resource
import sys
import time
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a clone that is not installed

import torch
from detectron2.config import instantiate
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from omegaconf import DictConfig
from tabulate import tabulate

from acnet.config import load_config
from acnet.engine.precision import choose_precision, resolve_device
from acnet.engine.train import build_model
from acnet.modeling.complexity import count_complexity

EPILOG = """
Examples:

  Parameters and multiply-accumulates of each part:
    python projects/ACNet/analyze_model.py --config-file acne04/acnet_r101

  Time and memory of a training step of 2 images, and of a prediction, in bfloat16:
    python projects/ACNet/analyze_model.py --config-file acne04/acnet_r101 --task train \\
        --batch-size 2 train.amp.enabled=true train.channels_last=true
    python projects/ACNet/analyze_model.py --config-file acne04/acnet_r101 --task predict \\
        train.amp.enabled=true train.channels_last=true
"""
BOXES_PER_IMAGE = 13  # ACNE04's mean: 18,983 boxes on 1,457 photos


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, help="a path or a name")
    parser.add_argument("--task", choices=("size", "train", "predict"), default="size")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"))
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps, after one more")
    parser.add_argument("opts", nargs="*", metavar="key=value", help="changes to the config")
    return parser


def size_table(cfg: DictConfig, image_hw: tuple[int, int]) -> str:
    """Table of parameters and multiply-accumulates, part by part."""
    with torch.device("meta"):
        model = instantiate(cfg.model)
    num_proposals = cfg.model.proposal_generator.post_nms_topk[1]
    parts = count_complexity(model, image_hw=image_hw, num_proposals=num_proposals)
    rows = [(part.name, f"{part.parameters:,}", f"{part.macs / 1e9:.2f}") for part in parts]
    parameters, macs = sum(part.parameters for part in parts), sum(part.macs for part in parts)
    rows.append(("all", f"{parameters:,}", f"{macs / 1e9:.2f}"))
    title = f"one image of {image_hw[0]}x{image_hw[1]}, {num_proposals} proposals\n\n"
    headers = ("part", "parameters", "GMACs")
    return title + tabulate(rows, headers, "github", stralign="right", disable_numparse=True)


def random_batch(batch_size: int, image_hw: tuple[int, int]) -> list[dict]:
    """Images of noise with boxes of 8 to 72 pixels."""
    height, width = image_hw
    batch = []
    for _ in range(batch_size):
        start = torch.rand(BOXES_PER_IMAGE, 2) * (torch.tensor([width, height]) - 80)
        boxes = torch.cat([start, start + 8 + 64 * torch.rand(BOXES_PER_IMAGE, 2)], dim=1)
        instances = Instances(image_hw, gt_boxes=Boxes(boxes))
        instances.gt_classes = torch.zeros(BOXES_PER_IMAGE, dtype=torch.long)
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances, "height": height, "width": width})
    return batch


def time_steps(cfg: DictConfig, args: argparse.Namespace) -> list[float]:
    """Seconds of each step, the first of which is not counted."""
    device = resolve_device(cfg.train.device)
    precision = choose_precision(cfg.train.amp, device)
    model = build_model(cfg).train(args.task == "train")
    batch = random_batch(args.batch_size, tuple(args.size))
    seconds = []
    with EventStorage(), torch.set_grad_enabled(args.task == "train"):
        for _ in range(args.repeats + 1):
            start = time.perf_counter()
            with precision.autocast():
                output = model(batch)
            if args.task == "train":
                sum(output.values()).backward()
                model.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - start)
    return seconds[1:]


def peak_gib(cfg: DictConfig) -> float:
    """Most memory that this process has held: on the GPU where the model is there."""
    device = resolve_device(cfg.train.device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Do what the command line says."""
    args = build_parser().parse_args()
    cfg = load_config(args.config_file, args.opts)
    if args.task == "size":
        report = size_table(cfg, tuple(args.size))
    else:
        torch.manual_seed(0)
        seconds = sorted(time_steps(cfg, args))
        report = (
            f"{args.task}, {args.batch_size} of {args.size[0]}x{args.size[1]}: median "
            f"{seconds[len(seconds) // 2]:.2f} s of {len(seconds)} steps "
            f"({seconds[0]:.2f} to {seconds[-1]:.2f}), peak memory {peak_gib(cfg):.2f} GiB"
        )
    sys.stdout.write(report + "\n")


if __name__ == "__main__":
    main()
