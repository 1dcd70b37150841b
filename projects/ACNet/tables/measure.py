"""Measure one trained row and write its record; a program of its own, so that its memory goes.

`python -m projects.ACNet.tables.measure FOLDER JOBS` reads FOLDER/job.json, which the runner wrote.
"""

import hashlib
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

import detectron2
import numpy as np
import torch
from detectron2.config import instantiate
from omegaconf import DictConfig

import acnet
from acnet.checkpoint import load_trained_weights
from acnet.config import load_config
from acnet.engine.evaluate import default_eval
from acnet.engine.metrics import read_metrics
from acnet.engine.train import build_model
from acnet.evaluation.bootstrap import bootstrap
from acnet.evaluation.columns import Detections
from acnet.evaluation.count_fit import fit_threshold
from acnet.evaluation.counting import count_errors
from acnet.evaluation.evaluator import RESULTS_NAME, RegisteredTruth, registered_truth
from acnet.evaluation.matching import match
from acnet.evaluation.precision_curves import average_precision
from acnet.evaluation.protocol import FROC_RULES, Headline
from acnet.evaluation.result_rows import detections_from_rows, read_json_rows
from acnet.files import default_workers
from benchmarks.common import cpu_name
from projects.ACNet.analyze_model import count_parts
from projects.ACNet.tables.plan import Run, read_run, register_sets, truth_digest
from projects.ACNet.tables.record import (
    BOOTSTRAP_SEED,
    COUNT_ERROR,
    MAX_DETECTIONS,
    REPLICATES,
    RESAMPLED,
    STEP_TIME,
    write_record,
)

FINAL_WEIGHTS = "model_final.pth"
DIGITS = 4  # of percentages and losses in a record
CURVES = ("total_loss", "bbox/AP", "bbox/AP50", "bbox/AP50-VOC07")
# What decides a training and its measurement.
SOURCES = ("checkpoint", "data", "engine", "evaluation", "layers", "modeling")


def main(folder: Path, jobs: int) -> None:
    """Measure the row that was trained in a folder, beside as many others as `jobs` says."""
    run = read_run(folder)
    cfg = load_config(run.row.config, run.opts)
    register_sets([cfg], list(run.tests))
    tests, replicates = {}, {}
    for place, name in enumerate(run.tests):
        tests[name], replicates[name] = _measure(cfg, run, name, is_of_training=place == 0)
    rows = read_metrics(folder / "metrics.json")
    write_record(
        run.record,
        {
            "row": run.row.config,
            "form": run.row.form,
            "seed": run.seed,
            "settings": run.settings,
            "model": run.model,
            "size": _size(cfg),
            "tests": tests,
            "curve": _curve(rows),
            "times": _times(rows),
            "machine": _machine() | {"jobs": jobs},
            "versions": {
                "acnet": acnet.__version__,
                "detectron2": detectron2.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
            },
            "source": _source_digest(),
        },
        replicates,
    )


def _measure(
    cfg: DictConfig, run: Run, name: str, *, is_of_training: bool
) -> tuple[dict[str, Any], Any]:
    truth = registered_truth(name)
    path = run.folder / RESULTS_NAME
    if not is_of_training or not path.is_file():  # the training has just evaluated on the first set
        path = _predict(cfg, run, name)
    detections = _read(path, truth)
    matches = match(truth.ground_truth, detections, max_detections=[MAX_DETECTIONS])
    headline = Headline(matches, count_model=None, bins=10)
    true = truth.ground_truth.counts()
    counts = cross_counts(true, detections)

    def numbers(photo_weights: np.ndarray) -> dict[str, float | None]:
        of_rule = f" ({FROC_RULES['iou']})"  # records name that rule's numbers without it
        values = headline(photo_weights) | {
            COUNT_ERROR: count_errors(counts, true, photo_weights=photo_weights)["MAE"]
        }
        return {
            key.removesuffix(of_rule): value for key, value in values.items() if value is not None
        }

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


def cross_counts(true: np.ndarray, detections: Detections) -> np.ndarray:
    """Count the lesions of (P,) photos, each half by the threshold that counts the other best.

    So every row has a threshold of its own, and no photo has a say in its own count.
    """
    counts = np.zeros_like(true)
    is_odd = np.arange(len(true)) % 2 == 1
    for half in (is_odd, ~is_odd):
        fits = ~half[detections.photo]
        photo, scores = detections.photo[fits], detections.scores[fits]
        threshold = fit_threshold(np.where(half, 0, true), photo, scores) if len(scores) else 1.0
        counts[half] = detections.counts(len(true), score_threshold=threshold)[half]
    return counts


def _predict(cfg: DictConfig, run: Run, name: str) -> Path:
    """Predict a set with the final weights, and return the file of detections."""
    folder = run.folder / "tests" / truth_digest(name)
    cfg.dataloader.test.dataset.names = name
    cfg.dataloader.evaluator.kind = "lesion"
    cfg.dataloader.evaluator.output_dir = str(folder)
    model = build_model(cfg).eval()
    load_trained_weights(model, run.folder / FINAL_WEIGHTS)
    default_eval(cfg, model)
    return folder / RESULTS_NAME


def _read(path: Path, truth: RegisteredTruth) -> Detections:
    """Read detections whose photos are named as the set names them, by number or by a word."""
    ids = truth.ground_truth.image_ids.tolist()
    rows = read_json_rows(path)
    named = ({**row, "image_id": ids[truth.photo_of[row["image_id"]]]} for row in rows)
    return detections_from_rows(named, truth.ground_truth, source=str(path), stems=False)


def _size(cfg: DictConfig) -> dict[str, Any]:
    """Count parameters, and multiply-accumulates of one picture of the test set."""
    image = next(iter(instantiate(cfg.dataloader.test)))[0]["image"]
    image_hw, parts = count_parts(cfg, image.shape[-2:])
    return {
        "image_hw": image_hw,
        "parameters": sum(parameters for parameters, _ in parts.values()),
        "gmacs": round(sum(macs for _, macs in parts.values()) / 1e9, DIGITS),
    }


def _curve(rows: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Columns of what was logged: iteration, losses, and AP where there was an evaluation."""
    names = {name for row in rows for name in row if name in CURVES or name.startswith("loss_")}
    curve: dict[str, list[float | None]] = {"iteration": [row["iteration"] for row in rows]}
    for name in sorted(names):
        curve[name] = [None if name not in row else round(row[name], DIGITS) for row in rows]
    return curve


def _times(rows: list[dict[str, Any]]) -> dict[str, float]:
    seconds = [row["time"] for row in rows if "time" in row]
    return {STEP_TIME: round(statistics.median(seconds), DIGITS)} if seconds else {}


def _machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, GPU, threads of this process."""
    return {
        "processor": cpu_name(),
        "cores": default_workers(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _source_digest() -> str:
    """Hash the source of what decides a training; kept, and compared by nobody."""
    root = Path(acnet.__file__).parent
    digest = hashlib.sha256()
    for name in SOURCES:
        for file in sorted((root / name).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
