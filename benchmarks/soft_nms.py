#!/usr/bin/env python
"""Thin candidates out: `acnet.layers.soft_nms` against the plain loop and torchvision's hard NMS.

Candidates are those of a detector: most lie in clusters around 30 lesions of a 640x640 photo, the
rest anywhere, with lower scores. Cases are 1,300 and 3,900 candidates, 1 and 20 classes, 100 and
1,000 detections wanted, with the linear and the Gaussian decay.

- The plain loop is Soft-NMS as it is mostly written with torch: pick the best, compute its IoU with
  all remaining boxes, decay, drop what is below the floor, until nothing remains; the detections
  wanted are the first picks. `loop_stopped` is the same loop, told to stop there.
- `hard` is `torchvision.ops.batched_nms` at the same IoU threshold.
- Ours must pick what a float64 brute force picks, in its order, with its scores to 1e-6, or the
  benchmark fails.

All run on one thread and take turns. The last line is JSON: `ratio` is the loop's time over ours
and `ratio_to_hard_nms` torchvision's, both in the worst case; times are medians in milliseconds.
"""

import argparse
import functools
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from acnet.layers import soft_nms

IOU_THRESHOLD, SIGMA, FLOOR = 0.3, 0.5, 1e-3
PHOTO_PX, LESIONS = 640, 30
TOLERANCE = 1e-6
REPEATS = 20  # calls of a fast function in one measurement
Candidates = tuple[Tensor, Tensor, Tensor]


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, help="on each side; default 7")
    parser.add_argument("--quick", action="store_true", help="1,300 candidates, three runs")
    return parser


def generate(count: int, num_classes: int) -> Candidates:
    """Draws boxes, scores and classes from a fixed seed."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, PHOTO_PX, (LESIONS, 2))
    sides = np.exp(rng.uniform(np.log(16), np.log(80), (LESIONS, 1)))
    lesion = rng.integers(LESIONS, size=count)
    middle = centres[lesion] + rng.normal(0, 0.15, (count, 2)) * sides[lesion]
    size = sides[lesion] * np.exp(rng.normal(0, 0.15, (count, 2)))
    elsewhere = rng.random((count, 1)) < 0.4
    middle = np.where(elsewhere, rng.uniform(0, PHOTO_PX, (count, 2)), middle)
    size = np.where(elsewhere, np.exp(rng.uniform(3, 5.5, (count, 2))), size)
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1).clip(0, PHOTO_PX)
    scores = np.where(elsewhere[:, 0], rng.beta(1, 6, count), rng.beta(4, 2, count))
    classes = rng.integers(num_classes, size=count)
    return (
        torch.from_numpy(boxes).float(),
        torch.from_numpy(scores).float(),
        torch.from_numpy(classes),
    )


def plain_loop(candidates: Candidates, method: str, most: int | None = None) -> tuple[Tensor, ...]:
    """Soft-NMS as it is mostly written; stops after `most` picks, if given."""
    boxes, scores, classes = candidates
    scores, index = scores.clone(), torch.arange(len(scores))
    keep, decayed = [], []
    while len(scores) and (most is None or len(keep) < most):
        best = int(scores.argmax())
        keep.append(index[best])
        decayed.append(scores[best])
        iou = box_iou(boxes[best : best + 1], boxes)[0]
        if method == "gaussian":
            decay = torch.exp(-(iou**2) / SIGMA)
        else:
            decay = torch.where(iou > IOU_THRESHOLD, 1 - iou, 1.0)
        scores = torch.where(classes == classes[best], scores * decay, scores)
        scores[best] = 0
        stay = scores >= FLOOR
        boxes, scores, classes, index = boxes[stay], scores[stay], classes[stay], index[stay]
    return torch.stack(keep), torch.stack(decayed)


def brute_force(candidates: Candidates, method: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Soft-NMS in float64, each step over all boxes."""
    boxes, scores, classes = (each.numpy() for each in candidates)
    boxes, scores = boxes.astype(np.float64), scores.astype(np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    keep, decayed = [], []
    while len(keep) < most and scores.max() >= FLOOR:
        best = int(scores.argmax())
        keep.append(best)
        decayed.append(scores[best])
        low = np.maximum(boxes[:, :2], boxes[best, :2])
        high = np.minimum(boxes[:, 2:], boxes[best, 2:])
        shared = (high - low).clip(0).prod(axis=1)
        iou = shared / (areas + areas[best] - shared)
        linear = np.where(iou > IOU_THRESHOLD, 1 - iou, 1)
        decay = np.exp(-(iou**2) / SIGMA) if method == "gaussian" else linear
        scores = np.where(classes == classes[best], scores * decay, scores)
        scores[best] = -1
    return np.array(keep), np.array(decayed)


def milliseconds(function: Callable[[], Any], repeats: int) -> float:
    """The mean time of some calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats * 1000


def measure(count: int, num_classes: int, most: int, method: str, runs: int) -> dict[str, Any]:
    """Checks ours against the brute force and lets all take turns.

    Returns:
        The case, and the median times and their ratios.

    Raises:
        SystemExit: ours does not pick what the brute force picks.
    """
    candidates = generate(count, num_classes)
    boxes, scores, classes = candidates

    def ours() -> tuple[Tensor, Tensor]:
        return soft_nms(boxes, scores, classes, method=method, max_detections=most)

    case = {"candidates": count, "classes": num_classes, "wanted": most, "method": method}
    keep, decayed = ours()
    expected, expected_scores = brute_force(candidates, method, most)
    if keep.tolist() != expected.tolist():
        raise SystemExit(f"{case}: the picks are not those of the brute force")
    difference = float(np.abs(decayed.numpy() - expected_scores).max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"{case}: a score differs by {difference} from the brute force")
    sides = {
        "ours": (ours, REPEATS),
        "loop": (functools.partial(plain_loop, candidates, method), 1),
        "loop_stopped": (functools.partial(plain_loop, candidates, method, most), 1),
        "hard": (functools.partial(batched_nms, *candidates, IOU_THRESHOLD), REPEATS // 4),
    }
    times = {name: [] for name in sides}
    for _ in range(runs):
        for name, (function, repeats) in sides.items():
            times[name].append(milliseconds(function, repeats))
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {
        **case,
        "picks": len(keep),
        **{name: round(value, 4) for name, value in medians.items()},
        "ratio": round(medians["loop"] / medians["ours"], 1),
        "ratio_stopped": round(medians["loop_stopped"] / medians["ours"], 1),
        "ratio_to_hard_nms": round(medians["hard"] / medians["ours"], 2),
    }


def main() -> None:
    """Measures every case."""
    args = build_parser().parse_args()
    counts = [1300, 3900]
    if args.quick:
        counts, args.runs = [1300], 3
    torch.set_num_threads(1)
    cases = []
    for case in itertools.product(counts, [1, 20], [100, 1000], ["linear", "gaussian"]):
        cases.append(measure(*case, runs=args.runs))
        sys.stdout.write(" ".join(f"{key} {value}" for key, value in cases[-1].items()) + "\n")
    worst = min(cases, key=_ratio)
    summary = {
        "name": "soft_nms",
        "ratio": worst["ratio"],
        "ours": worst["ours"],
        "peer": worst["loop"],
        "ratio_stopped": min(case["ratio_stopped"] for case in cases),
        "ratio_to_hard_nms": min(case["ratio_to_hard_nms"] for case in cases),
        "runs": args.runs,
        "cases": cases,
    }
    sys.stdout.write(json.dumps(summary) + "\n")


def _ratio(case: dict[str, Any]) -> float:
    return case["ratio"]


if __name__ == "__main__":
    main()
