"""One run of `acnet.Predictor`, for benchmarks/predict.py."""

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from detectron2.config import instantiate

import acnet
from acnet.config import load_config
from acnet.inference.photos import read_photo
from acnet.inference.tiling import in_photo, tile_batches
from acnet.modeling.complexity import count_complexity
from acnet.tiling.merge import merge_tiles
from acnet.tiling.own_parts import own_parts

PARTS = {"backbone": "backbone", "proposal_generator": "RPN", "roi_heads": "ROI heads"}
MATRIX = 2048
PRODUCTS = 20
GIGA = 1e9


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--tile", type=int, help="default: that of TilingOptions")
    parser.add_argument("--overlap", type=int)
    parser.add_argument("--output", required=True, type=Path)
    return parser


def measure(predictor: acnet.Predictor, path: Path) -> dict:
    """Predicts a photo from its file.

    Args:
        predictor: the model.
        path: of the photo.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    found = predictor(path)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu_start,
        "boxes": found.pred_boxes.tensor.tolist(),
        "scores": found.scores.tolist(),
    }


def time_parts(predictor: acnet.Predictor, path: Path) -> dict[str, float]:
    """Predicts a photo step by step.

    Args:
        predictor: the model.
        path: of the photo.

    Returns:
        Seconds of each step; "rest" is what remains of the tiles' time.
    """
    seconds: dict[str, float] = defaultdict(float)
    begun = {}

    def begin(module: torch.nn.Module, inputs: tuple) -> None:
        begun[module] = time.perf_counter()

    def end(module: torch.nn.Module, inputs: tuple, output: object) -> None:
        seconds[names[module]] += time.perf_counter() - begun[module]

    names = {getattr(predictor.model, name): part for name, part in PARTS.items()}
    handles = [module.register_forward_pre_hook(begin) for module in names]
    handles += [module.register_forward_hook(end) for module in names]
    marks = [time.perf_counter()]
    image = read_photo(path)
    marks.append(time.perf_counter())
    tiles = predictor.tiling.tiles(image.shape[:2])
    parts = own_parts(tiles, predictor.tiling.slack_px) - np.tile(tiles[:, :2], 2)
    found = []
    for chosen, batch in tile_batches(image, tiles, predictor.tiling.batch_size):
        found += predictor.detect_whole(batch, parts[chosen])
    marks.append(time.perf_counter())
    merge_tiles(in_photo(found, tiles), tiles, image.shape[:2], predictor.merge)
    marks.append(time.perf_counter())
    for handle in handles:
        handle.remove()
    rest = marks[2] - marks[1] - sum(seconds.values())
    steps = {
        "reading": marks[1] - marks[0],
        **seconds,
        "rest": rest,
        "merging": marks[3] - marks[2],
    }
    return {name: round(value, 3) for name, value in steps.items()}


def bare_work(predictor: acnet.Predictor, config: str, path: Path) -> dict[str, float]:
    """Says what the photo's multiply-accumulates take at the speed of a matrix product.

    Args:
        predictor: the model.
        config: of the model.
        path: of the photo.
    """
    tiles = predictor.tiling.tiles(read_photo(path).shape[:2])
    left, top, right, bottom = tiles[0].tolist()
    with torch.device("meta"):
        model = instantiate(load_config(config).model)
    parts = count_complexity(model, image_hw=(bottom - top, right - left), num_proposals=300)
    gmacs = sum(part.macs for part in parts) * len(tiles) / GIGA
    one = torch.randn(MATRIX, MATRIX, device=predictor.device).bfloat16()
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        _ = one @ one
        seconds.append(time.perf_counter() - start)
    peak = MATRIX**3 / GIGA / min(seconds)
    return {
        "GMACs": round(gmacs),
        "peak_GMACs_a_second": round(peak),
        "seconds": round(gmacs / peak, 3),
    }


def main() -> None:
    """Predicts all photos."""
    args = build_parser().parse_args()
    tiling = acnet.TilingOptions()
    if args.tile is not None:
        tiling = acnet.TilingOptions(tile_px=args.tile, overlap_px=args.overlap)
    predictor = acnet.Predictor(args.config, args.weights, tiling=tiling)
    image = read_photo(args.photos[0])
    tiles = tiling.tiles(image.shape[:2])
    _, warm_up = next(tile_batches(image, tiles, 1))
    predictor.detect_whole(warm_up)
    photos = [measure(predictor, path) for path in args.photos]
    result = {
        "photos": photos,
        "precision": str(predictor.precision.dtype or torch.float32).removeprefix("torch."),
        "tiles": len(tiles),
        "parts": time_parts(predictor, args.photos[-1]),
        "bare": bare_work(predictor, args.config, args.photos[-1]),
    }
    args.output.write_text(json.dumps(result), encoding="utf-8")
    sys.stdout.write(json.dumps({"seconds": sum(one["seconds"] for one in photos)}) + "\n")


if __name__ == "__main__":
    main()
