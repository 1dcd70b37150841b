#!/usr/bin/env python
"""Take a training step: the model as the configs build it against detectron2's own parts.

Random weights and images with random boxes, for time only. The sides take turns in one process, in
the precision and memory format of the configs:

  peer      detectron2's RPN and torchvision's RoIAlign in the place of ours, all else the same
  ours      the model as it is
  baseline  the single-backbone row of Table II with the same heads

The last line is JSON: `ratio` (peer's time over ours) is the smallest of the models'; for each the
medians, `over_macs` (ACNet's time over the baseline's, over the ratio of their training's multiply-
accumulates, forward and backward) and, before (peer) and after (ours), the fraction of this
machine's matrix peak that each part of a step reaches in this run. A part's backward pass begins
when the gradient of its output is there, and ends when that of another part's is.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from detectron2.config import instantiate
from detectron2.layers import FrozenBatchNorm2d
from detectron2.utils.events import EventStorage
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.config import load_config
from acnet.engine.precision import choose_precision, resolve_device
from acnet.engine.train import build_model, build_optimizer
from acnet.modeling import CompositeResNet, MaskAwareMultiAttention
from benchmarks.common import matrix_peak, synchronize, take_turns
from benchmarks.models import (
    StepTimes,
    compare,
    fractions_of_peak,
    macs_of_parts,
    modules_of_parts,
    plain,
    report_models,
    show,
)
from projects.ACNet.analyze_model import random_batch

# Each model with the row of Table II that it is compared with, and the images of a step.
BASELINES = {
    "toy/acnet_r18": ("toy/table2/baseline", 4, 320),
    "acne04/acnet_r101": ("acne04/table2/baseline", 2, 640),
}
SEED = 0
SETTINGS = ["train.amp.enabled=auto", "train.channels_last=true"]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", action="append", metavar="NAME", help="default: R-18 and R-101; may be repeated"
    )
    parser.add_argument("--batch", type=int, help="images a step; default: the config's a GPU")
    parser.add_argument("--runs", type=int, default=5, help="of each side; default 5")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--device", default="cpu", help="default cpu")
    parser.add_argument("--quick", action="store_true", help="R-18 only, two runs")
    return parser


class Side:
    """A model in training, with its optimizer.

    Args:
        name: of the config.
        batch: what each step trains on.
        device: where it goes.
        is_peer: whether detectron2's own parts take the place of ours.
    """

    def __init__(
        self, name: str, batch: list[dict], device: torch.device, is_peer: bool = False
    ) -> None:
        torch.manual_seed(SEED)
        cfg = load_config(name, SETTINGS)
        cfg.train.device, cfg.train.cuda_graphs = str(device), device.type == "cuda"
        if is_peer:
            self.model = plain(instantiate(cfg.model).to(device).train(), name)
        else:
            self.model = build_model(cfg)
        _tame(self.model)
        cfg.optimizer.lr = 0.0  # random weights on noise diverge; a step costs the same
        self._optimizer = build_optimizer(cfg.optimizer, self.model, device)
        self._precision = choose_precision(cfg.train.amp, device)
        self._batch, self._device = batch, device
        self.seconds: list[float] = []

    def step(self, times: StepTimes | None = None) -> None:
        """Trains on the batch once, and notes the time.

        Args:
            times: told when the optimizer begins.
        """
        torch.manual_seed(SEED)  # the same boxes are sampled in every step
        synchronize(self._device)
        start = time.perf_counter()
        with self._precision.autocast():
            total = sum(self.model(self._batch).values())
        self._optimizer.zero_grad()
        total.backward()
        if times is not None:
            times.begin("optimizer")
        self._optimizer.step()
        synchronize(self._device)
        self.seconds.append(time.perf_counter() - start)

    def median(self) -> float:
        """Returns the median, without the first step, which warms up."""
        return statistics.median(self.seconds[1:])

    def parts(self, steps: int) -> dict[str, float]:
        """Returns seconds a step by part.

        Args:
            steps: to average over.
        """
        times = StepTimes(_called_parts(self.model), self._device)
        with times.measure():
            for _ in range(steps):
                times.begin("rest")
                self.step(times)
        return {name: seconds / steps for name, seconds in times.seconds.items()}

    def dtype(self) -> torch.dtype:
        """Returns what it multiplies with."""
        return self._precision.dtype or torch.float32


def _tame(model: nn.Module) -> None:
    """Damp the blocks of a pretrained kind, which random weights would let grow to infinity."""
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.fill_(0.5)


def _called_parts(model: nn.Module) -> dict[str, list[nn.Module]]:
    parts = modules_of_parts(model)
    attention, levels = model.backbone, model.backbone.bottom_up.bottom_up
    if isinstance(levels, CompositeResNet):
        parts["connections"].remove(levels)  # its outputs are those of the lead's stages
    if isinstance(attention, MaskAwareMultiAttention):
        # Training calls another method than `forward`, which no hook sees.
        parts["MAMA: attention"] = [attention.mask_attention, attention.context_attention]
    return parts


def measure(name: str, args: argparse.Namespace) -> dict[str, object]:
    """Measures one config.

    Args:
        name: of the config.
        args: the parsed command line.

    Returns:
        What the JSON says of it.
    """
    baseline, batch_size, size = BASELINES[name]
    batch_size = args.batch or batch_size
    device = resolve_device(args.device)
    torch.manual_seed(SEED)
    batch = random_batch(batch_size, (size, size))
    sides = {
        "peer": Side(name, batch, device, is_peer=True),
        "ours": Side(name, batch, device),
        "baseline": Side(baseline, batch, device),
    }
    take_turns([side.step for side in sides.values()], args.runs)
    macs = {
        one: {
            part: count * batch_size
            for part, count in macs_of_parts(one, size, training=True).items()
        }
        for one in (name, baseline)
    }
    medians = {key: side.median() for key, side in sides.items()}
    peak = matrix_peak(sides["ours"].dtype(), device)
    steps = max(1, args.runs // 2)
    before, after = (
        fractions_of_peak(sides[side].parts(steps), macs[name], peak) for side in ("peer", "ours")
    )
    return {
        "ratio": round(medians["peer"] / medians["ours"], 3),
        **compare(medians, macs, name=name, baseline=baseline),
        "batch": batch_size,
        "size": size,
        "precision": str(sides["ours"].dtype()).removeprefix("torch."),
        "peak_gmacs_a_second": round(peak),
        "before": before,
        "after": after,
    }


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    names = args.config or list(BASELINES)
    if args.quick:
        names, args.runs = ["toy/acnet_r18"], 2
    if args.threads:
        torch.set_num_threads(args.threads)
    results = {}
    with EventStorage():
        for name in names:
            results[name] = measure(name, args)
            show(name, results[name])
    report_models("training", results, runs=args.runs)


if __name__ == "__main__":
    main()
