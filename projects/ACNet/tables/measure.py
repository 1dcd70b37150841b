"""Measures one trained row and writes its record; a program of its own, so that its memory goes.

`python -m acnet.tables.measure FOLDER` reads FOLDER/job.json, which the runner wrote.
"""

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import instantiate
from omegaconf import DictConfig

from acnet.checkpoint import load_trained_weights
from acnet.config import load_config
from acnet.engine.evaluate import default_eval
from acnet.engine.metrics import read_metrics
from acnet.engine.train import build_model
from acnet.evaluation.average_precision import average_precision
from acnet.evaluation.bootstrap import bootstrap
from acnet.evaluation.coco_files import detections_from_rows
from acnet.evaluation.columns import Detections
from acnet.evaluation.evaluator import RESULTS_NAME
from acnet.evaluation.json_rows import read_json_rows
from acnet.evaluation.matching import match
from acnet.evaluation.registered import RegisteredTruth, registered_truth
from acnet.modeling.complexity import count_complexity
from acnet.tables.job import FINAL_WEIGHTS, Job, read_job
from acnet.tables.numbers import (
    BOOTSTRAP_SEED,
    MAX_DETECTIONS,
    REPLICATES,
    RESAMPLED,
    TableNumbers,
)
from acnet.tables.provenance import machine, source_digest, versions
from acnet.tables.record import write_record
from acnet.tables.test_sets import register_sets, truth_digest

DIGITS = 4  # of percentages and losses in a record
CURVES = ("total_loss", "bbox/AP", "bbox/AP50", "bbox/AP50-VOC07")


def main(folder: Path) -> None:
    """Measure the row that was trained in a folder.

    Args:
        folder: of the training, with `job.json`.
    """
    job = read_job(folder)
    cfg = load_config(job.config, job.opts)
    register_sets([cfg], list(job.tests))
    tests, replicates = {}, {}
    for place, name in enumerate(job.tests):
        tests[name], replicates[name] = _measure(cfg, job, name, is_of_training=place == 0)
    rows = read_metrics(folder / "metrics.json")
    write_record(
        job.record,
        {
            "row": job.config,
            "form": job.form,
            "seed": job.seed,
            "settings": job.settings,
            "model": job.model,
            "size": _size(cfg),
            "tests": tests,
            "curve": _curve(rows),
            "times": _times(rows),
            "machine": machine() | {"jobs": job.jobs},
            "versions": versions(),
            "source": source_digest(),
        },
        replicates,
    )


def _measure(
    cfg: DictConfig, job: Job, name: str, *, is_of_training: bool
) -> tuple[dict[str, Any], Any]:
    truth = registered_truth(name)
    path = job.folder / RESULTS_NAME
    if not is_of_training or not path.is_file():  # the training has just evaluated on the first set
        path = _predict(cfg, job, name)
    matches = match(truth.ground_truth, _read(path, truth), max_detections=[MAX_DETECTIONS])
    numbers = TableNumbers(matches)
    photos = truth.ground_truth.num_photos
    resampled = bootstrap(
        numbers, list(RESAMPLED), photos, replicates=REPLICATES, seed=BOOTSTRAP_SEED
    )
    values = numbers(np.ones(photos, dtype=np.int64)) | average_precision(matches)
    return {
        "data": truth_digest(name),
        "photos": photos,
        "lesions": int(truth.ground_truth.counts().sum()),
        "numbers": {key: round(value, DIGITS) for key, value in values.items()},
    }, resampled.replicates


def _predict(cfg: DictConfig, job: Job, name: str) -> Path:
    """Predict a set with the final weights, and return the file of detections."""
    folder = job.folder / "tests" / truth_digest(name)
    cfg.dataloader.test.dataset.names = name
    cfg.dataloader.evaluator.kind = "lesion"
    cfg.dataloader.evaluator.output_dir = str(folder)
    model = build_model(cfg).eval()
    load_trained_weights(model, job.folder / FINAL_WEIGHTS)
    default_eval(cfg, model)
    return folder / RESULTS_NAME


def _read(path: Path, truth: RegisteredTruth) -> Detections:
    """Read detections whose photos are named as the set names them, by number or by a word."""
    ids = truth.ground_truth.image_ids.tolist()
    rows = read_json_rows(path)
    named = ({**row, "image_id": ids[truth.photo_of[row["image_id"]]]} for row in rows)
    return detections_from_rows(named, truth.ground_truth, source=str(path))


def _size(cfg: DictConfig) -> dict[str, Any]:
    """Count parameters, and multiply-accumulates of one picture of the test set."""
    image = next(iter(instantiate(cfg.dataloader.test)))[0]["image"]
    with torch.device("meta"):
        model = instantiate(cfg.model)
    step = model.backbone.size_divisibility or 1
    image_hw = tuple(-(-side // step) * step for side in image.shape[-2:])
    proposals = cfg.model.proposal_generator.post_nms_topk[1]
    parts = count_complexity(model, image_hw=image_hw, num_proposals=proposals)
    return {
        "image_hw": image_hw,
        "parameters": sum(part.parameters for part in parts),
        "gmacs": round(sum(part.macs for part in parts) / 1e9, DIGITS),
    }


def _curve(rows: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Columns of what was logged: iteration, losses, and AP where there was an evaluation."""
    names = {name for row in rows for name in row if name in CURVES or name.startswith("loss_")}
    curve: dict[str, list[float | None]] = {"iteration": [row["iteration"] for row in rows]}
    for name in sorted(names):
        curve[name] = [None if name not in row else round(row[name], DIGITS) for row in rows]
    return curve


def _times(rows: list[dict[str, Any]]) -> Mapping[str, float]:
    seconds = [row["time"] for row in rows if "time" in row]
    return {"seconds_a_step": round(statistics.median(seconds), DIGITS)} if seconds else {}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
