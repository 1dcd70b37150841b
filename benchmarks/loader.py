#!/usr/bin/env python
"""Feed a training from written and from virtual tiles, and compare with what its steps take.

The training loader of toy/acnet_r18 (batches of 4, flips, random order) reads tiles of generated
photos of 3112x3456 pixels as fast as its workers can: written as JPEG, written as PNG, and cut from
their photos (`acnet data tile --virtual`). The three take turns. The last line is JSON: `ours` and
`peer` are medians in seconds a tile for virtual tiles and for written JPEG tiles, `ratio` is the
peer's over ours: below 1, virtual tiles take longer. `feeds` says how many times as many tiles a
loader gives as a training takes; below 1, the loader is the limit.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from detectron2.config import instantiate

from acnet.config import load_config
from acnet.data.register import register_set
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.files import default_workers
from benchmarks.common import report
from benchmarks.photos import FEWEST_PHOTOS, draw_and_import

MODES = {
    "jpg": TileOptions(),
    "png": TileOptions(image_format="png"),
    "virtual": TileOptions(virtual=True),
}
WARM_UP_BATCHES = 4


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=20, help="default 20")
    parser.add_argument("--workers", type=int, default=2, help="of the loader; default 2")
    parser.add_argument("--runs", type=int, default=3, help="of each mode; default 3")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a run; default 20")
    parser.add_argument(
        "--r18-step", type=float, default=0.65, help="of 4 tiles on two cores; default 0.65 s"
    )
    parser.add_argument(
        "--r101-step", type=float, default=22.7, help="of 2 tiles on two cores; default 22.7 s"
    )
    parser.add_argument(
        "--gpu-step", type=float, default=0.1, help="of 4 tiles on a fast GPU; default 0.1 s"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("output/benchmarks/tile"), help="folder for everything"
    )
    parser.add_argument("--quick", action="store_true", help="five photos, one run of 3 s each")
    return parser


def prepare(work: Path, photos: int, mode: str) -> str:
    """Prepares the photos in one mode.

    Args:
        work: folder for everything.
        photos: how many.
        mode: of MODES.

    Returns:
        The registered name of the tiles to train on.
    """
    layout = draw_and_import(work, photos, f"loader_{mode}_{photos}").layout
    tile_set(layout, MODES[mode], workers=default_workers())
    register_set(layout)
    return layout.dataset_name("trainval_0", tiles=True)


def seconds_a_tile(name: str, args: argparse.Namespace) -> float:
    """Lets a fresh loader run.

    Args:
        name: registered tiles.
        args: the parsed command line.

    Returns:
        Seconds a tile, after the workers have started.
    """
    cfg = load_config("toy/acnet_r18", [])
    cfg.dataloader.train.dataset.names = name
    cfg.dataloader.train.num_workers = args.workers
    batches = iter(instantiate(cfg.dataloader.train))
    for _ in range(WARM_UP_BATCHES):
        next(batches)
    start, tiles = time.perf_counter(), 0
    while time.perf_counter() - start < args.seconds:
        tiles += len(next(batches))
    return (time.perf_counter() - start) / tiles


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    if args.quick:
        args.photos, args.runs, args.seconds = FEWEST_PHOTOS, 1, 3.0
    names = {mode: prepare(args.work, args.photos, mode) for mode in MODES}
    runs = {mode: [] for mode in MODES}
    for _ in range(args.runs):
        for mode, name in names.items():
            runs[mode].append(seconds_a_tile(name, args))
    seconds = {mode: statistics.median(times) for mode, times in runs.items()}
    tiles_a_second = {
        "r18_cpu": 4 / args.r18_step,
        "r101_cpu": 2 / args.r101_step,
        "gpu": 4 / args.gpu_step,
    }
    report(
        {
            "name": "loader",
            "ratio": round(seconds["jpg"] / seconds["virtual"], 3),
            "ours": round(seconds["virtual"], 5),
            "peer": round(seconds["jpg"], 5),
            "runs": args.runs,
            "workers": args.workers,
            "tiles_a_second": {mode: round(1 / time_, 1) for mode, time_ in seconds.items()},
            "appetite": {step: round(tiles, 2) for step, tiles in tiles_a_second.items()},
            "feeds": {
                mode: {step: round(1 / time_ / tiles, 1) for step, tiles in tiles_a_second.items()}
                for mode, time_ in seconds.items()
            },
        }
    )


if __name__ == "__main__":
    main()
