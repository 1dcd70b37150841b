"""The demo's numbers and pictures, from what its commands wrote."""

import csv
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from acnet.data.prepared_set import PreparedLayout
from acnet.engine.metrics import read_metrics
from acnet.evaluation import (
    COCO_RANGES,
    Detections,
    GroundTruth,
    count_by_image,
    count_errors,
    detections_from_rows,
    match,
    read_ground_truth,
    read_predictions,
)
from acnet.files import atomic_write, write_json, write_text
from acnet.photos.draw import DrawingOptions, picture_files
from acnet.photos.page import MOST_BELOW, write_gallery
from acnet.photos.results import CountRule, PhotoResult

SCORE_THRESHOLD = 0.5
IOU = 0.5  # from which a detection is right
AP_NAMES = {
    "AP": "AP (IoU 0.50 to 0.95)",
    "AP50": "AP50",
    "AP75": "AP75",
    "APs": "AP, lesions below 32 x 32 px",
    "APm": "AP, 32 x 32 to 96 x 96 px",
    "APl": "AP, above 96 x 96 px",
}


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where the demo's commands write: all of it, the training, and its evaluation."""

    output: Path
    run: Path
    evaluation: Path

    @property
    def layout(self) -> PreparedLayout:
        """The prepared data set."""
        return PreparedLayout(self.output / "datasets", "toy")

    @property
    def photos(self) -> Path:
        """The generated photos, in ACNE04's layout."""
        return self.output / "toy_photos"

    @property
    def predictions(self) -> Path:
        """What `acnet predict` wrote."""
        return self.output / "predictions"

    def photo(self, file_name: str) -> Path:
        """Return the path of one generated photo."""
        return self.photos / "Classification" / "JPEGImages" / file_name


def choose_photos(folders: Folders, typical: int, worst: int) -> tuple[list[str], list[str]]:
    """Choose file names of test photos: typical ones, and those with the most mistakes.

    The typical ones are evenly spaced in the order of their lesions, the most lesions first, and
    fewer where the set is smaller; a third of the photos at most are the worst.
    """
    truth = read_ground_truth(folders.layout.annotations("test_0", tiles=True))
    found = read_predictions(folders.evaluation / "coco_instances_results.json", truth)
    mistakes, lesions = np.sum(count_mistakes(truth, found), axis=0), truth.counts()
    worst = min(worst, truth.num_photos // 3)
    names = np.array(truth.file_names)
    chosen = np.lexsort((names, -mistakes))[:worst]
    rest = np.lexsort((names, -lesions))
    rest = rest[~np.isin(rest, chosen)]
    places = np.linspace(0, len(rest) - 1, min(typical, len(rest))).round().astype(int)
    return names[rest[places]].tolist(), names[chosen].tolist()


def count_mistakes(truth: GroundTruth, found: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Return how many lesions of each photo are missed, and how many of what counts are none."""
    matches = match(truth, found, iou_thresholds=[IOU], size_ranges=COCO_RANGES[:1])
    counts, right = found.scores >= SCORE_THRESHOLD, matches.matched(iou=IOU)
    hits, false = (
        np.bincount(found.photo[chosen], minlength=truth.num_photos)
        for chosen in (counts & right, counts & ~right)
    )
    return truth.counts() - hits, false


def collect_results(folders: Folders, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Gather the demo's numbers, and its settings beside them: what becomes results.json.

    AP is in percent, without sizes that no lesion has.
    """
    truth = _read_json(folders.layout.annotations("test_0", tiles=True))
    image_ids = [image["id"] for image in truth["images"]]
    rows = _read_json(folders.evaluation / "coco_instances_results.json")
    counted = count_by_image(rows, image_ids, score_threshold=SCORE_THRESHOLD)
    actual = count_by_image(truth["annotations"], image_ids)
    metrics = [row for row in read_metrics(folders.run / "metrics.json") if "total_loss" in row]
    iterations = metrics[-1]["iteration"] + 1
    step_seconds = statistics.mean(row["time"] for row in metrics if "time" in row)
    return {
        **settings,
        "iterations": iterations,
        "training_minutes": round(iterations * step_seconds / 60, 2),
        "test_photos": len(image_ids),
        "test_lesions": len(truth["annotations"]),
        "ap": _read_json(folders.evaluation / "evaluation.json")["results"]["bbox"],
        "count": {"score_threshold": SCORE_THRESHOLD, **count_errors(counted, actual)},
        "seconds_per_photo": statistics.median(_prediction_seconds(folders.predictions)),
        "cpu_cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def write_report(
    folders: Folders,
    results: Mapping[str, Any],
    command: str,
    *,
    typical: Sequence[str],
    worst: Sequence[str],
) -> None:
    """Write tables, the loss curve and a page of the chosen photos and all numbers."""
    output, table = folders.output, _table(results)
    draw_losses(read_metrics(folders.run / "metrics.json"), output / "loss_curve.png")
    write_json(output / "results.json", results, indent=2)
    lines = [f"| {name} | {value} |" for name, value in table]
    write_text(
        output / "results.md",
        "\n".join([f"`{command}`", "", "| | |", "|---|---|", *lines]) + "\n",
    )
    truth = read_ground_truth(folders.layout.annotations("test_0"))
    photos = {photo.name: photo for photo in read_photos(folders.predictions)}
    boxes = {name: [] for name in photos}
    for photo, box in zip(truth.photo, truth.boxes_xywh.tolist(), strict=True):
        boxes.get(truth.file_names[photo], []).append(box)
    write_gallery(
        output / "index.html",
        [photos[name] for name in (*typical, *worst)],
        [],
        rule=CountRule(threshold=SCORE_THRESHOLD),
        files=["results.json", "results.md"],
        template=Path(__file__).with_name("demo_page.html.j2"),
        title="ACNet on generated photos",
        typical=typical,
        worst=worst,
        truth=boxes,
        remarks=_remarks(truth, photos),
        test_photos=results["test_photos"],
        rows=table,
        command=command,
    )


def read_photos(folder: Path) -> list[PhotoResult]:
    """Read what `acnet predict --attention` found, for a page in the folder above."""
    rule = CountRule(threshold=SCORE_THRESHOLD)
    found, photos = _read_json(folder / "predictions.json"), []
    images = _read_json(folder / "images.json")["images"]
    for image, seconds in zip(images, _prediction_seconds(folder), strict=True):
        rows = [row for row in found if row["image_id"] == image["id"]]
        rows.sort(key=lambda row: -row["score"])
        count = rule(row["score"] for row in rows)
        files = picture_files(Path(image["file_name"]).stem, DrawingOptions(attention=True))
        photos.append(
            PhotoResult(
                image_id=image["id"],
                name=image["file_name"],
                image_hw=(image["height"], image["width"]),
                rows=rows[: count.count],
                below=rows[count.count :][:MOST_BELOW],
                count=count,
                seconds=seconds,
                photo_size_px=image["photo_size_px"],
                files={kind: f"{folder.name}/{path}" for kind, path in files.items()},
            )
        )
    return photos


def _remarks(truth: GroundTruth, photos: Mapping[str, PhotoResult]) -> dict[str, str]:
    ids = dict(zip(truth.file_names, truth.image_ids.tolist(), strict=True))
    rows = [{**row, "image_id": ids[name]} for name, photo in photos.items() for row in photo.rows]
    mistakes = zip(*count_mistakes(truth, detections_from_rows(rows, truth)), strict=True)
    return {
        name: f"{lesions} are there, {missed} of them missed; {false} false"
        for name, lesions, (missed, false) in zip(
            truth.file_names, truth.counts(), mistakes, strict=True
        )
    }


def draw_losses(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot the total loss and its parts over the iterations.

    Rows without losses are skipped; the suffix of the path decides the format.
    """
    rows = [row for row in rows if "total_loss" in row]
    iterations = [row["iteration"] for row in rows]
    names = sorted({name for row in rows for name in row if name.startswith("loss_")})
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="iteration", ylabel="loss")
    axes.plot(iterations, [row["total_loss"] for row in rows], color="black", lw=2, label="total")
    for name in names:
        label = name.removeprefix("loss_").replace("_", " ")
        axes.plot(iterations, [row.get(name) for row in rows], lw=1.2, label=label)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _table(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    ap, count = results["ap"], results["count"]
    rows = [
        (title, f"{ap[name]:.1f} %" if name in ap else "no such lesions")
        for name, title in AP_NAMES.items()
    ]
    return [
        *rows,
        (
            f"count error (score {count['score_threshold']:g} or more)",
            f"{count['MAE']:.2f} lesions a photo (mean absolute), bias {count['bias']:+.2f}",
        ),
        ("test", f"{results['test_photos']} unseen photos, {results['test_lesions']} lesions"),
        (
            "training",
            f"{results['iterations']} iterations, {results['training_minutes']:.1f} minutes",
        ),
        ("time for a photo", f"{results['seconds_per_photo']:.2f} s"),
        ("machine", results["gpu"] or f"{results['cpu_cores']} CPU cores"),
        ("config", " ".join([results["config"], *results["overrides"]])),
        ("seed", str(results["seed"])),
    ]


def _prediction_seconds(folder: Path) -> list[float]:
    with (folder / "counts.csv").open(encoding="utf-8", newline="") as file:
        return [float(row["seconds"]) for row in csv.DictReader(file)]


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
