#!/usr/bin/env python
"""Measure on a GPU all that ACNet does there, each against plain eager code in the same run.

  parity      the tests that are marked `gpu`
  soft_nms    against torchvision's hard `batched_nms` of the same boxes; the goal is twice its time
  prediction  benchmarks/inference.py at a batch of 1 and of 8 pictures of 640x640
  training    benchmarks/training.py, a step of ResNet-18 and of ResNet-101
  photos      `acnet predict` with the bundled weights, from files to results

The last line is JSON with all of it; `ratio` (the peer's time over ours) is the smallest of
prediction and training. It takes at most four minutes on one GPU.
"""

import argparse
import contextlib
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from detectron2.utils.events import EventStorage
from torchvision.ops import batched_nms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.cli.main import main as acnet
from acnet.engine.precision import resolve_device
from acnet.layers import soft_nms
from benchmarks import inference, training
from benchmarks.common import REPO_ROOT, machine_state, report, synchronize
from benchmarks.photos import draw_set
from benchmarks.soft_nms import IOU_THRESHOLD, generate

PHOTOS, PHOTO_PX, DRAWN = 64, 1280, 8  # the photos are copies of those that are drawn
PARTS = ("parity", "soft_nms", "models", "photos")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="a GPU; cpu only tries the script")
    parser.add_argument("--runs", type=int, default=7, help="of each side; default 7")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--quick", action="store_true", help="ResNet-18 at 320 pixels, two runs")
    return parser


def measure_parity() -> dict[str, object]:
    """Run the tests that compare the GPU with the CPU, and return their summary."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/test_gpu.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO_ROOT, check=False)
    return {"passed": done.returncode == 0, "summary": done.stdout.strip().splitlines()[-1]}


def measure_soft_nms(device: torch.device, runs: int) -> list[dict[str, object]]:
    """Return milliseconds of Soft-NMS and of hard NMS by candidates, classes and picks."""
    rows = []
    for count, classes in ((1300, 1), (1300, 20), (3900, 1), (3900, 20)):
        boxes, scores, kinds = (one.to(device) for one in generate(count, classes))
        hard = _median(lambda: batched_nms(boxes, scores, kinds, IOU_THRESHOLD), device, runs)  # noqa: B023
        for picks in (100, 1000):
            soft = _median(
                lambda: soft_nms(boxes, scores, kinds, max_detections=picks),  # noqa: B023
                device,
                runs,
            )
            case = {"candidates": count, "classes": classes, "picks": picks}
            milliseconds = {"ms": round(1000 * soft, 3), "hard_nms_ms": round(1000 * hard, 3)}
            rows.append({**case, **milliseconds, "over_hard_nms": round(soft / hard, 2)})
    return rows


def _median(function: Callable[[], object], device: torch.device, runs: int) -> float:
    seconds = []
    for _ in range(runs + 1):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def measure_models(device: torch.device, runs: int, *, quick: bool) -> dict[str, dict]:
    """Measure prediction and training of the small and, unless `quick`, the large model."""
    options = ["--device", str(device), "--runs", str(runs)]
    rows = {}
    for name in list(inference.BASELINES)[: 1 if quick else None]:
        for batch in (1, 2 if quick else 8):
            size = ["--size", "320"] if quick else []
            args = inference.build_parser().parse_args([*options, *size, "--batch", str(batch)])
            row, peak_mb = _with_memory(device, inference.Measurement(name, args).result)
            ms = 1000 * row["seconds"]["ours"] / batch
            sys.stderr.write(f"{name}, {batch} at once: {row['seconds']}\n")
            rows[f"prediction of {name}, {batch} at once"] = {
                **_shortened(name, row, peak_mb),
                "ms_a_picture": round(ms, 2),
            }
        args = training.build_parser().parse_args(options)
        with EventStorage():
            row, peak_mb = _with_memory(device, lambda: training.measure(name, args))  # noqa: B023
        rows[f"training of {name}, {row['batch']} a step"] = _shortened(name, row, peak_mb)
    return rows


def _with_memory(device: torch.device, measure: Callable[[], dict]) -> tuple[dict, int | None]:
    if device.type != "cuda":
        return measure(), None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return measure(), round(torch.cuda.max_memory_allocated(device) / 2**20)


def _shortened(name: str, row: dict, peak_mb: int | None) -> dict:
    reached = row["gmacs"][name] / row["peak_gmacs_a_second"]
    return {
        "ratio": row["ratio"],
        "seconds": row["seconds"],
        "precision": row["precision"],
        "fraction_of_peak": {
            side: round(reached / row["seconds"][side], 3) for side in ("peer", "ours")
        },
        "ms_of_parts": {part: one["ms"] for part, one in row["after"].items()},
        "peak_mb_of_all_sides": peak_mb,
    }


def measure_photos(device: torch.device, count: int) -> dict[str, float]:
    """Return photos a second of `acnet predict`, and of the first run, which loads and warms up."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        draw_set(photos, DRAWN, (PHOTO_PX, PHOTO_PX), density=1.0, seed=1)
        drawn = sorted(photos.rglob("*.jpg"))
        for number in range(DRAWN, count):
            one = drawn[number % len(drawn)]
            shutil.copy(one, one.with_stem(f"{one.stem}_{number}"))
        seconds = []
        for run in range(2):
            words = ["predict", photos, "--output", f"{folder}/{run}", "--device", device]
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                status = acnet(list(map(str, words)))
            seconds.append(time.perf_counter() - start)
            if status:
                raise SystemExit(f"acnet predict ended with exit status {status}")
    first, again = (round(count / one, 2) for one in seconds)
    return {"photos": count, "side_px": PHOTO_PX, "a_second": again, "a_second_first": first}


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    device = resolve_device(args.device)
    if args.device == "auto" and device.type == "cpu":
        raise SystemExit(
            "This benchmark is for an NVIDIA GPU, and torch sees none here. On a CPU, "
            "benchmarks/inference.py, training.py, soft_nms.py and predict.py measure the same."
        )
    runs = 2 if args.quick else args.runs
    measures = {
        "parity": measure_parity,
        "soft_nms": lambda: measure_soft_nms(device, runs),
        "models": lambda: measure_models(device, runs, quick=args.quick),
        "photos": lambda: measure_photos(device, 8 if args.quick else PHOTOS),
    }
    results = {}
    for name in args.parts:
        results[name] = measures[name]()
        # A machine may be lent for minutes: what is measured is told at once.
        sys.stderr.write(f"{name}: {json.dumps(results[name])}\n")
    rows = results.get("models", {}).values()
    slowest = min(rows, key=lambda row: row["ratio"], default={"ratio": None, "seconds": {}})
    report(
        {
            "name": "gpu",
            "ratio": slowest["ratio"],
            "ours": slowest["seconds"].get("ours"),
            "peer": slowest["seconds"].get("peer"),
            "runs": runs,
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
            "machine": machine_state(),
            **results,
        }
    )


if __name__ == "__main__":
    main()
