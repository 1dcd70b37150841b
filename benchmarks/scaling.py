#!/usr/bin/env python
"""Train in one and in two processes on this CPU.

Each process has one thread, so that the second adds a core and nothing else. Weak scaling keeps the
images of a process, strong scaling those of a step; gradients travel through gloo. Runs of one and
two processes take turns. The last line is JSON: `ours` and `peer` are seconds an image of the best
and of one process with weak scaling, `ratio` the peer's over ours: at most 2, as there are
processes.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

import torch
from detectron2.config import instantiate
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from acnet.config import load_config
from acnet.engine.launch import launch, wrap_for_processes
from acnet.engine.precision import choose_precision, resolve_device
from acnet.engine.train import build_model
from benchmarks.common import machine_state, report, run
from projects.ACNet.analyze_model import random_batch

# Processes and images of each: one alone with few and with many, and two that share.
CASES = {"one": (1, 2), "one, all images": (1, 4), "two": (2, 2)}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="toy/acnet_r18", metavar="NAME")
    parser.add_argument("--size", type=int, default=320, help="side of the images; default 320")
    parser.add_argument("--steps", type=int, default=10, help="of a run; default 10")
    parser.add_argument("--runs", type=int, default=5, help="of each case; default 5")
    parser.add_argument("--compress", action="store_true", help="send gradients in float16")
    parser.add_argument("--quick", action="store_true", help="one run of two steps each")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    return parser


def work(args: argparse.Namespace) -> None:
    """Trains in one of the processes; the first writes seconds a step."""
    torch.set_num_threads(1)
    torch.manual_seed(comm.get_rank())
    cfg = load_config(args.config, ["train.amp.enabled=auto", "train.channels_last=true"])
    cfg.train.ddp.fp16_compression = args.compress
    device = resolve_device("cpu")
    model = build_model(cfg).train()
    cfg.optimizer.params.model = model
    optimizer, precision = instantiate(cfg.optimizer), choose_precision(cfg.train.amp, device)
    model = wrap_for_processes(model, device=device, ddp=cfg.train.ddp)
    batch = random_batch(args.worker[1], (args.size, args.size))
    seconds = []
    with EventStorage():
        for _ in range(args.steps + 1):
            start = time.perf_counter()
            with precision.autocast():
                total = sum(model(batch).values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
    if comm.is_main_process():
        report({"seconds": statistics.median(seconds[1:])})


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Runs the cases in turn.

    Returns:
        What the JSON says of this machine.
    """
    command = [sys.executable, __file__, "--config", args.config, f"--size={args.size}"]
    command += [f"--steps={args.steps}", *(["--compress"] if args.compress else [])]
    steps = {case: [] for case in CASES}
    for _ in range(args.runs):
        for case, (processes, images) in CASES.items():
            one = run([*command, "--worker", str(processes), str(images)], cores=processes)
            steps[case].append(one.seconds)
    step = {case: statistics.median(seconds) for case, seconds in steps.items()}
    images = {case: processes * images for case, (processes, images) in CASES.items()}
    an_image = {case: step[case] / images[case] for case in CASES}
    return {
        "ratio": round(an_image["one"] / an_image["two"], 3),
        "ours": round(an_image["two"], 4),
        "peer": round(an_image["one"], 4),
        "weak_efficiency": round(step["one"] / step["two"], 3),
        "strong_efficiency": round(step["one, all images"] / (2 * step["two"]), 3),
        "seconds_a_step": {case: round(seconds, 4) for case, seconds in step.items()},
    }


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    if args.worker:
        ranks = {"num_gpus": args.worker[0], "num_machines": 1, "machine_rank": 0}
        launch(work, argparse.Namespace(**vars(args), **ranks, dist_url="auto"))
        return
    if args.quick:
        args.steps, args.runs = 2, 1
    report({"name": "scaling", **measure(args), "runs": args.runs, "machine": machine_state()})


if __name__ == "__main__":
    main()
