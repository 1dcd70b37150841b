#!/usr/bin/env python
"""Find lesions in large photos: `acnet.Predictor` against SAHI's `get_sliced_prediction`.

Both run the same weights in the same precision (bfloat16 where the CPU has it: SAHI gets the model
by acnet.integrations.sahi, so that nothing but the tiling differs) over the same generated photos
of 3112x3456 pixels that no training has seen, and keep all detections from a score of 0.001. The
sides take turns, each in a process of its own on two cores; what is timed is from the file to the
merged boxes, after one tile to warm up. Seconds a photo are medians over runs; the first run takes
all photos, further ones the first few.

  ours_640     our tiles of 640 that share 320, SAHI's own
  ours         our default tiles
  peer         SAHI, tiles of 640 that share 320, all else by its defaults (also the photo at once)
  peer_slices  the same without the photo at once

The last line is JSON: `ratio` is peer's time over ours, `ratio_640` over ours_640, `ap` is COCO AP
and AP50 in percent at 1000 detections a photo, `cpu` the seconds a photo of all cores, which other
work on the machine hardly moves. The photo at once is SAHI's default and needs most of its memory,
so both are shown. Where the time of a tile goes, benchmarks/inference.py tells.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.evaluation import PrecisionCurves, match
from benchmarks.common import peer_python, report, run
from benchmarks.photos import SavedPhoto, detections_of, draw_set, ground_truth_of
from benchmarks.tile import SAHI

PHOTO_WH = (3112, 3456)
DENSITY = 14.0  # a median of 98 lesions of 6 to 80 pixels, as many as ACNE04's densest photos have
SEED = 2000
QUICK_WH = (900, 1000)
SLICE_PX, SHARED_PX = 640, 320
SCORE_FLOOR = 0.001  # as the model's own


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=Path("output/demo/run/model_final.pth"))
    parser.add_argument("--config", help="default: config.yaml beside the weights")
    parser.add_argument("--photos", type=int, default=10, help="default 10")
    parser.add_argument("--runs", type=int, default=3, help="of each side; default 3")
    parser.add_argument("--repeat-photos", type=int, default=3, help="in runs after the first")
    parser.add_argument("--cores", type=int, default=2, help="default 2")
    parser.add_argument(
        "--work", type=Path, default=Path("output/benchmarks/predict"), help="folder for everything"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two small photos, one run, no peer_slices"
    )
    parser.add_argument("--worker", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("photo_files", nargs="*", help=argparse.SUPPRESS)
    return parser


def work(args: argparse.Namespace) -> None:
    """Predict all photos with one side, and write what was found to a file."""
    side, output = args.worker
    predict = _ours(side, args) if side.startswith("ours") else _peer(side, args)
    photos = []
    for path in args.photo_files:
        start, cpu_start = time.perf_counter(), time.process_time()
        boxes, scores = predict(path)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        one = {"seconds": seconds, "cpu_seconds": cpu_seconds, "boxes": boxes, "scores": scores}
        photos.append(one)
    Path(output).write_text(json.dumps({"photos": photos}), encoding="utf-8")
    report({"seconds": sum(one["seconds"] for one in photos)})


def _ours(side: str, args: argparse.Namespace) -> Callable[[str], tuple[list, list]]:
    import acnet

    tiling = acnet.TilingOptions()
    if side == "ours_640":
        tiling = acnet.TilingOptions(tile_px=SLICE_PX, overlap_px=SHARED_PX)
    predictor = acnet.Predictor(args.config, args.weights, tiling=tiling)
    predictor(np.zeros((SLICE_PX, SLICE_PX, 3), np.uint8))  # to warm up

    def predict(path: str) -> tuple[list, list]:
        found = predictor(Path(path))
        return found.pred_boxes.tensor.tolist(), found.scores.tolist()

    return predict


def _peer(side: str, args: argparse.Namespace) -> Callable[[str], tuple[list, list]]:
    from sahi.predict import get_sliced_prediction

    from acnet.integrations.sahi import ACNetDetectionModel

    model = ACNetDetectionModel(
        model_path=str(args.weights), config_path=args.config, confidence_threshold=SCORE_FLOOR
    )
    model.perform_inference(np.zeros((SLICE_PX, SLICE_PX, 3), np.uint8))  # to warm up

    def predict(path: str) -> tuple[list, list]:
        found = get_sliced_prediction(
            path,
            model,
            slice_height=SLICE_PX,
            slice_width=SLICE_PX,
            overlap_height_ratio=SHARED_PX / SLICE_PX,
            overlap_width_ratio=SHARED_PX / SLICE_PX,
            perform_standard_pred=side == "peer",
            verbose=0,
        ).object_prediction_list
        return [one.bbox.to_xyxy() for one in found], [one.score.value for one in found]

    return predict


class Sides:
    """Both programs on the same photos.
    photos: the files.
    """

    def __init__(self, args: argparse.Namespace, photos: Sequence[SavedPhoto]) -> None:
        self._args = args
        self._photos = photos
        config = args.config or args.weights.with_name("config.yaml")
        self._model = ["--weights", args.weights.resolve(), "--config", Path(config).resolve()]
        sahi = peer_python(args.work.resolve() / "sahi-env", SAHI)
        python = {"ours_640": sys.executable, "peer": sahi, "ours": sys.executable}
        self._python = python | {"peer_slices": sahi}
        self.names = tuple(self._python)

    def run(self, name: str, count: int) -> dict:
        """Runs one side.

        Args:
            name: of the side.
            count: of photos.

        Returns:
            What it wrote: for each photo `seconds`, `cpu_seconds`, `boxes` and `scores`.
        """
        output = self._args.work.resolve() / f"{name}.json"
        photos = [photo.path.resolve() for photo in self._photos[:count]]
        worker = ["--worker", name, output]
        command = [self._python[name], __file__, *self._model, *worker, *photos]
        run(command, cores=self._args.cores)
        return json.loads(output.read_text(encoding="utf-8"))


def seconds_a_photo(runs: Sequence[dict], key: str) -> float:
    """Returns the mean over photos of the median over runs.

    Args:
        runs: the first has all photos, others the first ones.
        key: "seconds" or "cpu_seconds".
    """
    photos = range(len(runs[0]["photos"]))
    medians = [
        statistics.median(one["photos"][index][key] for one in runs if index < len(one["photos"]))
        for index in photos
    ]
    return round(statistics.mean(medians), 3)


def average_precision(photos: Sequence[SavedPhoto], found: dict) -> list[float]:
    """Returns AP and AP50 in percent.

    Args:
        photos: with their lesions.
        found: what a side wrote.
    """
    truth = ground_truth_of([(photo.image_hw, photo.boxes_xyxy) for photo in photos])
    columns = [
        (np.array(one["boxes"], np.float64), np.array(one["scores"])) for one in found["photos"]
    ]
    matches = match(truth, detections_of(columns))
    curves = PrecisionCurves(matches, suffixes=("",), caps=(1000,), voc=False)
    numbers = curves.average_precision()
    return [round(numbers[key], 2) for key in ("AP@1000", "AP50@1000")]


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    if args.worker:
        work(args)
        return
    size = PHOTO_WH
    if args.quick:
        size, args.photos, args.runs = QUICK_WH, 2, 1
    folder = args.work / f"photos_{size[0]}x{size[1]}_{SEED}"
    photos = draw_set(
        folder, args.photos, size, density=DENSITY * size[0] * size[1] / 10.75e6, seed=SEED
    )
    sides = Sides(args, photos)
    names = sides.names[:-1] if args.quick else sides.names
    runs = {name: [] for name in names}
    for index in range(args.runs):
        count = args.photos if index == 0 else min(args.repeat_photos, args.photos)
        for name in names:
            runs[name].append(sides.run(name, count))
            seconds = seconds_a_photo(runs[name], "seconds")
            sys.stderr.write(f"run {index + 1} {name}: {seconds} s a photo\n")
    seconds = {name: seconds_a_photo(runs[name], "seconds") for name in names}
    report(
        {
            "name": "predict",
            "ratio": round(seconds["peer"] / seconds["ours"], 2),
            "ratio_640": round(seconds["peer"] / seconds["ours_640"], 2),
            **seconds,
            "cpu": {name: seconds_a_photo(runs[name], "cpu_seconds") for name in names},
            "ap": {name: average_precision(photos, runs[name][0]) for name in names},
            "runs": args.runs,
            "photos": args.photos,
            "lesions": sum(len(photo.boxes_xyxy) for photo in photos),
            "cores": args.cores,
        }
    )


if __name__ == "__main__":
    main()
