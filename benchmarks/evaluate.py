#!/usr/bin/env python
"""Evaluate crowded photos: `LesionEvaluator` against detectron2's `COCOEvaluator`.

Generated photos of 3000x3000 pixels hold 5 to 55 lesions and 250 detections each: most lesions are
found, some twice, and the rest are false. Both evaluators get the same `Instances`, count up to
1,000 detections a photo, and have read the ground truth before. Timed is what detectron2's loop
would wait for: `process` for every photo, then `evaluate`. detectron2's is
`COCOEvaluator(use_fast_impl=False, max_dets_per_image=1000)`, the one that needs no compiled code
of its own; in the same time ours computes FROC, VOC's numbers, size bins in pixels and AP at a
second cap as well. The two take turns; AP, AP50 and AP75 must agree
to 1e-9. faster-coco-eval, compiled code for COCO's numbers alone, is timed once, from the same
detections as lists of COCO rows.

The last line is JSON: `ratio` is detectron2's time over ours, times are medians in seconds.
"""

import argparse
import contextlib
import io
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import DatasetEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Boxes, Instances

from acnet.evaluation import LesionEvaluator, build_evaluator

DATASET = "benchmark_evaluate"
PHOTO_PX = 3000
CAP = 1000
TOLERANCE = 1e-9
QUICK_PHOTOS = 60


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=300, help="default 300")
    parser.add_argument(
        "--detections", type=int, default=250, help="a photo, at least 120; default 250"
    )
    parser.add_argument("--runs", type=int, default=3, help="on each side; default 3")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PHOTOS} photos, one run")
    return parser


def generate(photos: int, detections: int) -> tuple[dict[str, Any], list[Instances]]:
    """Draws ground truth and detections from a fixed seed.

    Args:
        photos: how many.
        detections: of each photo.

    Returns:
        The content of a COCO file, and the photos' detections in the order of its images.
    """
    rng = np.random.default_rng(0)
    annotations, outputs = [], []
    for image_id in range(1, photos + 1):
        lesions = _boxes(rng, int(rng.integers(5, 56)))
        annotations += [
            {
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": box,
                "area": box[2] * box[3],
            }
            for box in lesions.tolist()
        ]
        repeats = rng.choice([0, 1, 2], size=len(lesions), p=[0.1, 0.7, 0.2])
        found = np.repeat(lesions, repeats, axis=0)
        found[:, :2] += rng.normal(0, 0.1, (len(found), 2)) * found[:, 2:]
        found[:, 2:] *= np.exp(rng.normal(0, 0.15, (len(found), 2)))
        false = _boxes(rng, detections - len(found))
        scores = np.concatenate([rng.beta(5, 2, len(found)), rng.beta(1, 6, len(false))])
        outputs.append(_instances(np.concatenate([found, false]), scores))
    for annotation_id, annotation in enumerate(annotations, start=1):
        annotation["id"] = annotation_id
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": PHOTO_PX, "height": PHOTO_PX}
        for i in range(1, photos + 1)
    ]
    categories = [{"id": 1, "name": "acne"}]
    return {"images": images, "annotations": annotations, "categories": categories}, outputs


def _boxes(rng: np.random.Generator, number: int) -> np.ndarray:
    sizes = np.exp(rng.uniform(2, 4.5, (number, 2)))  # 7 to 90 px
    return np.concatenate([rng.uniform(0, PHOTO_PX - 100, (number, 2)), sizes], axis=1)


def _instances(boxes_xywh: np.ndarray, scores: np.ndarray) -> Instances:
    boxes_xyxy = np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)
    instances = Instances((PHOTO_PX, PHOTO_PX))
    instances.pred_boxes = Boxes(torch.from_numpy(boxes_xyxy).float())
    instances.scores = torch.from_numpy(scores).float()
    instances.pred_classes = torch.zeros(len(scores), dtype=torch.int64)
    return instances


def timed(function: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """Runs a function, its printing unseen.

    Returns:
        Its seconds and what it returned.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        result = function(*args)
        return time.perf_counter() - start, result


def evaluate(evaluator: DatasetEvaluator, outputs: list[Instances]) -> dict[str, float]:
    """Does what detectron2's loop does after a model."""
    evaluator.reset()
    for image_id, instances in enumerate(outputs, start=1):
        evaluator.process([{"image_id": image_id}], [{"instances": instances}])
    return evaluator.evaluate()["bbox"]


def evaluate_compiled(content: dict[str, Any], outputs: list[Instances]) -> tuple[float, float]:
    """Runs faster-coco-eval.

    Returns:
        Its seconds, and AP in percent.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(content)
    rows = []
    for image_id, instances in enumerate(outputs, start=1):
        rows += instances_to_coco_json(instances, image_id)
    for row in rows:
        row["category_id"] += 1

    def run() -> float:
        evaluation = COCOeval_faster(truth, truth.loadRes(rows), "bbox")
        evaluation.params.maxDets = [1, 10, CAP]
        evaluation.evaluate()
        evaluation.accumulate()
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        return 100 * float(precision[precision > -1].mean())

    return timed(run)


def prepare(content: dict[str, Any]) -> tuple[DatasetEvaluator, DatasetEvaluator]:
    """Registers the ground truth and returns our evaluator and detectron2's, which have read it."""
    with tempfile.TemporaryDirectory() as folder:
        json_file = Path(folder) / "ground_truth.json"
        json_file.write_text(json.dumps(content))
        register_coco_instances(DATASET, {}, str(json_file), folder)
        MetadataCatalog.get(DATASET).thing_dataset_id_to_contiguous_id = {1: 0}
        options = {"dataset_name": DATASET, "max_dets_per_image": CAP}
        return LesionEvaluator(**options), build_evaluator(kind="detectron2", **options)


def compare(content: dict[str, Any], outputs: list[Instances], runs: int) -> dict[str, Any]:
    """Lets both evaluators take turns.

    Returns:
        Median seconds of both, AP, and by how much the two differ at most.

    Raises:
        SystemExit: they differ by more than the tolerance.
    """
    evaluators = prepare(content)
    seconds: tuple[list[float], list[float]] = [], []
    for number in range(1, runs + 1):
        results = []
        for evaluator, times in zip(evaluators, seconds, strict=True):
            time_of_run, numbers = timed(evaluate, evaluator, outputs)
            times.append(time_of_run)
            results.append(numbers)
        ours, peer = results
        difference = max(abs(ours[name] - peer[name]) for name in ("AP", "AP50", "AP75"))
        if not difference <= TOLERANCE:
            raise SystemExit(f"AP differs by {difference}: {ours} against {peer}")
        sys.stdout.write(
            f"run {number}: ours {seconds[0][-1]:.2f} s, detectron2 {seconds[1][-1]:.2f} s, "
            f"AP {ours['AP']:.4f}, equal to {difference:.0e}\n"
        )
    medians = [round(statistics.median(times), 4) for times in seconds]
    return {"ours": medians[0], "peer": medians[1], "AP": ours["AP"], "difference": difference}


def main() -> None:
    """Compares the evaluators."""
    args = build_parser().parse_args()
    if args.quick:
        args.photos, args.runs = QUICK_PHOTOS, 1
    logging.disable(logging.INFO)
    content, outputs = generate(args.photos, args.detections)
    result = compare(content, outputs, args.runs)
    compiled, compiled_ap = evaluate_compiled(content, outputs)
    sys.stdout.write(f"faster-coco-eval: {compiled:.2f} s, AP {compiled_ap:.4f}\n")
    summary = {
        "name": "evaluate",
        "ratio": round(result["peer"] / result["ours"], 1),
        **result,
        "faster_coco_eval": round(compiled, 4),
        "runs": args.runs,
        "photos": args.photos,
        "lesions": len(content["annotations"]),
        "detections": args.photos * args.detections,
        "cap": CAP,
    }
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
