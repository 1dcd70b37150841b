#!/usr/bin/env python
"""Detect in one picture: the optimised model against the same model in plain eager float32.

Random weights, for time only. The sides take turns in one process:

  peer      float32, contiguous maps, detectron2's own RPN and torchvision's RoIAlign
  eager     the model as it is, in the precision and memory format that ours computes with
  ours      what `acnet.Predictor` runs by default: `acnet.inference.optimize` and autocast
  baseline  the single-backbone row of Table II, optimised in the same way; the heads are the same

The last line is JSON: `ratio` is peer's time over ours, the smallest of the models'. For each model
there are the medians, `over_macs` (ACNet's time over the baseline's, over the ratio of their
multiply-accumulates), and, before (eager) and after (ours), the fraction of this machine's matrix
peak that each part reaches in this run. With `--threads 1` the thread's own time is measured, which
other work on the machine hardly moves. `--switches` also takes each optimisation away, one at a
time.
"""

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.engine.precision import Precision, choose_precision, resolve_device
from acnet.inference.optimize import Optimizations, optimize_for_inference
from benchmarks.common import clock_of_this_run, matrix_peak, synchronize, take_turns
from benchmarks.models import (
    SEED,
    PartTimes,
    build,
    compare,
    fractions_of_peak,
    in_channels_last,
    macs_of_parts,
    modules_of_parts,
    plain,
    report_models,
    show,
)

# Each model with the row of Table II that it is compared with.
BASELINES = {"toy/acnet_r18": "toy/table2/baseline", "acne04/acnet_r101": "acne04/table2/baseline"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", action="append", metavar="NAME", help="default: R-18 and R-101; may be repeated"
    )
    parser.add_argument("--size", type=int, default=640, help="side of the picture; default 640")
    parser.add_argument("--batch", type=int, default=1, help="pictures at once; default 1")
    parser.add_argument("--runs", type=int, default=7, help="of each side; default 7")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--device", default="cpu", help="default cpu")
    parser.add_argument("--switches", action="store_true", help="also without each optimisation")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--quick", action="store_true", help="R-18 at 320 pixels, two runs")
    return parser


class Side:
    """A model with the precision that it runs in.

    Args:
        model: in evaluation mode.
        precision: of autocast around it.
        inputs: as detectron2's models take them.
    """

    def __init__(self, model: nn.Module, precision: Precision, inputs: list[dict]) -> None:
        self.model = model
        self._precision = precision
        self._inputs = inputs
        self.seconds: list[float] = []

    def run(self) -> None:
        """Detects once, and notes the time."""
        device = self.model.device
        synchronize(device)
        clock = clock_of_this_run()
        start = clock()
        with torch.inference_mode(), self._precision.autocast():
            self.model(self._inputs)
        synchronize(device)
        self.seconds.append(clock() - start)

    def proposals(self) -> int:
        """Returns how many boxes reach the ROI heads."""
        counts = []

        def count(module: nn.Module, arguments: tuple, output: tuple) -> None:
            counts.extend(len(one) for one in output[0])

        handle = self.model.proposal_generator.register_forward_hook(count)
        self.run()
        handle.remove()
        self.seconds.pop()
        return sum(counts)

    def median(self) -> float:
        """Returns the median, without the first run, which warms up."""
        return statistics.median(self.seconds[1:])

    def parts(self, runs: int) -> dict[str, float]:
        """Returns seconds a run by part.

        Args:
            runs: to average over.
        """
        times = PartTimes(modules_of_parts(self.model), self.model.device, clock_of_this_run())
        with times.measure():
            for _ in range(runs):
                self.run()
        return {name: seconds / runs for name, seconds in times.seconds.items()}


class Measurement:
    """Everything about one config.

    Args:
        name: of the config.
        args: the parsed command line.
    """

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        self._name = name
        self._args = args
        self._device = resolve_device(args.device)
        auto = OmegaConf.create({"enabled": "auto", "dtype": "auto"})
        self._precision = choose_precision(auto, self._device)
        generator = torch.Generator().manual_seed(SEED)
        shape = (3, args.size, args.size)
        self._inputs = [
            {
                "image": torch.randint(256, shape, dtype=torch.uint8, generator=generator),
                "height": args.size,
                "width": args.size,
            }
            for _ in range(args.batch)
        ]

    def result(self) -> dict[str, object]:
        """Measures, and returns what the JSON says of this config."""
        model = build(self._name, self._device, self._inputs)
        baseline = build(BASELINES[self._name], self._device, self._inputs)
        sides = {
            "peer": self._side(plain(model, self._name), Precision(self._device.type, None)),
            "eager": self._side(in_channels_last(model)),
            "ours": self._optimized(model),
            "baseline": self._optimized(baseline),
            **self._variants(model),
        }
        take_turns([side.run for side in sides.values()], self._args.runs)
        macs = {name: self._macs(name) for name in (self._name, BASELINES[self._name])}
        medians = {key: side.median() for key, side in sides.items()}
        for side in sides.values():
            side.model.takes_turns = False  # parts are told one after the other
            for _ in range(2):  # CUDA graphs of the whole batch, which no look at parts may disturb
                side.run()
        return {
            "ratio": round(medians["peer"] / medians["ours"], 2),
            "ratio_eager": round(medians["eager"] / medians["ours"], 2),
            **compare(medians, macs, name=self._name, baseline=BASELINES[self._name]),
            "first_run": {key: round(side.seconds[0], 2) for key, side in sides.items()},
            "proposals": {key: sides[key].proposals() for key in ("ours", "baseline")},
            **self._fractions(sides, macs[self._name]),
        }

    def _side(self, model: nn.Module, precision: Precision | None = None) -> Side:
        return Side(model, precision or self._precision, self._inputs)

    def _optimized(self, model: nn.Module, **changes: bool) -> Side:
        chosen = dataclasses.replace(Optimizations(), **changes)
        dtype = self._precision.dtype
        return self._side(optimize_for_inference(model, dtype=dtype, optimizations=chosen))

    def _variants(self, model: nn.Module) -> dict[str, Side]:
        changes: dict[str, dict[str, bool]] = {}
        if self._args.switches:
            on = (f.name for f in dataclasses.fields(Optimizations) if f.default)
            changes |= {f"without {name}": {name: False} for name in on}
        if self._args.compile:
            changes["with compile"] = {"compile": True}
        return {key: self._optimized(model, **change) for key, change in changes.items()}

    def _macs(self, name: str) -> dict[str, int]:
        counts = macs_of_parts(name, self._args.size)
        return {part: count * self._args.batch for part, count in counts.items()}

    def _fractions(self, sides: dict[str, Side], macs: dict[str, int]) -> dict[str, object]:
        runs = max(1, self._args.runs // 2)
        dtype = self._precision.dtype or torch.float32
        peak = matrix_peak(dtype, self._device, clock=clock_of_this_run())
        return {
            "peak_gmacs_a_second": round(peak),
            "precision": str(dtype).removeprefix("torch."),
            "before": fractions_of_peak(sides["eager"].parts(runs), macs, peak),
            "after": fractions_of_peak(sides["ours"].parts(runs), macs, peak),
        }


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    names = args.config or list(BASELINES)
    if args.quick:
        names, args.size, args.runs = ["toy/acnet_r18"], 320, 2
    if args.threads:
        torch.set_num_threads(args.threads)
    results = {}
    for name in names:
        results[name] = Measurement(name, args).result()
        show(name, results[name])
    report_models("inference", results, runs=args.runs, size=args.size, batch=args.batch)


if __name__ == "__main__":
    main()
