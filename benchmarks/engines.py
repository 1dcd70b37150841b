#!/usr/bin/env python
"""One model in several engines: seconds a tile, and whether they find the same.

The model is exported once, unless the file is there. The engines take turns on the same tile, in
one process with --threads threads; `eager` is the model in plain PyTorch, float32, and seconds are
medians over runs from pixels to Instances. `openvino bfloat16` (where it is installed) runs in
lower precision, next to the eager model as `acnet predict` prepares it.

Parity is measured on --photos pictures, generated ones or those of a folder: the largest
differences of detections from the eager model in float32. Each one is compared with its like, since
equal scores may come in another order; `unlike` counts those that have none within a pixel.

The last line is JSON: `ratio` is eager's time over that of ONNX Runtime, `seconds` those of all,
`parity` the differences.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.structures import Instances

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.cli.main import hide_library_noise
from acnet.config import load_config
from acnet.export.metadata import ENGINES
from acnet.export.onnx_file import export_model
from acnet.inference import Predictor, load
from acnet.photos.read import read_photo
from benchmarks.common import report
from benchmarks.photos import draw_set

# Name: engine, precision.
SIDES = {
    "onnxruntime": ("onnxruntime", "config"),
    "openvino": ("openvino", "config"),
    "openvino bfloat16": ("openvino", "bfloat16"),
}
DEFAULT = "eager, as acnet predict runs it"
QUICK_SIDES = ("onnxruntime",)
NEAR_PX = 1.0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=Path("output/demo/run/model_final.pth"))
    parser.add_argument("--config", help="default: config.yaml beside the weights")
    parser.add_argument("--tile", type=int, default=640, help="side of the tile; default 640")
    parser.add_argument("--runs", type=int, default=7, help="of each engine; default 7")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    parser.add_argument("--photos", type=int, default=8, help="to compare on; default 8")
    parser.add_argument("--folder", type=Path, help="of the photos; default: generated ones")
    parser.add_argument("--only", nargs="+", choices=tuple(SIDES), help="of the engines")
    parser.add_argument(
        "--work", type=Path, default=Path("output/benchmarks/engines"), help="folder for everything"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiles of 320, one engine, three runs, two photos"
    )
    return parser


def export_file(args: argparse.Namespace) -> Path:
    """Exports the model, unless the file is there."""
    path = args.work / f"tiles_of_{args.tile}.onnx"
    if not path.is_file():
        cfg = load_config(args.config or args.weights.with_name("config.yaml"))
        export_model(cfg, args.weights, path, tile_px=args.tile, name="benchmark")
    return path


def read_pictures(args: argparse.Namespace) -> list[np.ndarray]:
    """Reads the pictures to compare on, as much of each as a tile holds."""
    if args.folder is not None:
        paths = sorted(args.folder.iterdir())[: args.photos]
    else:
        size_wh = (args.tile, args.tile)
        drawn = draw_set(args.work / "photos", args.photos, size_wh, density=1.0, seed=3000)
        paths = [one.path for one in drawn]
    return [read_photo(path)[: args.tile, : args.tile] for path in paths]


def differences(
    one: Callable[[np.ndarray], Instances],
    other: Callable[[np.ndarray], Instances],
    pictures: Sequence[np.ndarray],
) -> dict[str, float]:
    """Compares two models.

    Args:
        one, other: from a picture to boxes.
        pictures: to compare on.

    Returns:
        `boxes` that were compared, `unlike`, and the largest differences `box_px` and `score`.
    """
    totals = {"boxes": 0, "unlike": 0, "box_px": 0.0, "score": 0.0}
    for picture in pictures:
        ours, theirs = one(picture), other(picture)
        totals["boxes"] += len(ours)
        totals["unlike"] += abs(len(ours) - len(theirs))
        if not len(ours) or not len(theirs):
            continue
        boxes, their_boxes = ours.pred_boxes.tensor, theirs.pred_boxes.tensor
        apart_px = torch.cdist(boxes, their_boxes, p=torch.inf)
        apart = apart_px + (ours.scores[:, None] - theirs.scores).abs()
        apart[ours.pred_classes[:, None] != theirs.pred_classes] = torch.inf
        like = apart.argmin(dim=1)
        box_px = apart_px[torch.arange(len(ours)), like]
        is_near = box_px < NEAR_PX
        totals["unlike"] += int((~is_near).sum())
        score = (ours.scores - theirs.scores[like]).abs()
        totals["box_px"] = max(totals["box_px"], *box_px[is_near].tolist(), 0.0)
        totals["score"] = max(totals["score"], *score[is_near].tolist(), 0.0)
    return totals


def measure(sides: dict[str, Predictor], picture: np.ndarray, runs: int) -> dict[str, float]:
    """Times all sides in turn.

    Args:
        sides: predictors by name.
        picture: of a tile's size.
        runs: of each, after one to warm up.

    Returns:
        Median seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run, (name, predictor) in itertools.product(range(runs + 1), sides.items()):
        start = time.perf_counter()
        predictor.detect_whole([picture])
        if run:
            seconds[name].append(time.perf_counter() - start)
    return {name: round(statistics.median(times), 4) for name, times in seconds.items()}


def _whole(predictor: Predictor) -> Callable[[np.ndarray], Instances]:
    return lambda image: predictor.detect_whole([image])[0]


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    hide_library_noise()
    names = args.only or list(SIDES)
    if args.quick:
        args.tile, args.runs, args.photos, names = 320, 3, 2, list(QUICK_SIDES)
    names = [name for name in names if ENGINES[SIDES[name][0]].is_installed]
    torch.set_num_threads(args.threads)
    pictures = read_pictures(args)
    config = args.config or args.weights.with_name("config.yaml")
    sides = {
        "eager": load(
            args.weights, config=config, device="cpu", precision="float32", optimize=False
        ),
        DEFAULT: load(args.weights, config=config, device="cpu"),
    }
    for name in names:
        engine, precision = SIDES[name]
        path = export_file(args)
        sides[name] = load(path, device="cpu", engine=engine, precision=precision)
    seconds = measure(sides, pictures[0], args.runs)
    full = [picture for picture in pictures if picture.shape[:2] == (args.tile, args.tile)]
    eager = _whole(sides["eager"])
    parity = {name: differences(eager, _whole(sides[name]), full) for name in names}
    first = names[0]
    report(
        {
            "name": "engines",
            "ratio": round(seconds["eager"] / seconds[first], 2),
            "ours": seconds[first],
            "peer": seconds["eager"],
            "runs": args.runs,
            "seconds": seconds,
            "parity": parity,
        }
    )


if __name__ == "__main__":
    main()
