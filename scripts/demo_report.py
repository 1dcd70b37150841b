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
from detectron2.structures import BoxMode
from matplotlib.figure import Figure

from acnet.data.prepared_set import PreparedLayout
from acnet.engine.metrics import read_metrics
from acnet.evaluation import count_by_image, count_errors
from acnet.files import atomic_write, write_json, write_text
from acnet.photos.draw import contact_sheet, save_picture
from acnet.photos.read import read_photo
from acnet.photos.results import arrays_of
from acnet.templates import render
from acnet.visualization.lesion_visualizer import draw_comparison

SCORE_THRESHOLD = 0.5
AP_NAMES = {
    "AP": "AP (IoU 0.50 to 0.95)",
    "AP50": "AP50",
    "AP75": "AP75",
    "APs": "AP, lesions below 32 x 32 px",
    "APm": "AP, 32 x 32 to 96 x 96 px",
    "APl": "AP, above 96 x 96 px",
}


@dataclass(frozen=True)
class Picture:
    """A picture beside the page: its path from there, with slashes, and what it shows."""

    path: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: heading, paragraph, table and pictures; what is empty is left out."""

    title: str
    text: str = ""
    rows: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = ()


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all."""
    template = Path(__file__).with_name("demo_page.html.j2")
    write_text(path, render(template, title=title, sections=sections))


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


def choose_photos(layout: PreparedLayout, number: int) -> list[str]:
    """Choose file names of test photos, from the one with the fewest lesions to that with the most.

    They are evenly spaced in the order of their lesions, and fewer where the set is smaller.
    """
    truth = _read_json(layout.annotations("test_0"))
    counts = count_by_image(truth["annotations"], [image["id"] for image in truth["images"]])
    names = [image["file_name"] for image in truth["images"]]
    ordered = sorted(zip(counts, names, strict=True))
    places = np.linspace(0, len(ordered) - 1, min(number, len(ordered))).round().astype(int)
    return [ordered[place][1] for place in places]


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


def write_report(folders: Folders, results: Mapping[str, Any], command: str) -> None:
    """Write pictures, tables and a page that shows them and the command that repeats the demo."""
    output = folders.output
    shown = _draw_comparisons(folders)
    draw_losses(read_metrics(folders.run / "metrics.json"), output / "loss_curve.png")
    table = _table(results)
    write_json(output / "results.json", results, indent=2)
    lines = [f"| {name} | {value} |" for name, value in table]
    write_text(
        output / "results.md", "\n".join([f"`{command}`", "", "| | |", "|---|---|", *lines]) + "\n"
    )
    write_page(
        output / "index.html",
        "ACNet on generated photos",
        [
            Section(
                title="What it found in photos it had not seen",
                text="Left, in magenta: where the lesions are. Right: where ACNet sees some, with "
                f"a score of {SCORE_THRESHOLD:g} or more.",
                pictures=[Picture(f"pictures/{name}.png", f"Photo {name}") for name in shown],
            ),
            Section(
                title="What it cannot do",
                text="It knows generated skin only, misses lesions and takes moles for some: the "
                "last pictures have the fewest lesions. These are the errors on all test photos.",
                rows=table,
            ),
            Section(title="Losses in training", pictures=[Picture("loss_curve.png", "Losses")]),
            Section(
                title="Where the mask attention looks",
                text="The saliency of the mask attention block, from none (the photo) over "
                "blue and green to full (yellow).",
                pictures=[
                    Picture(f"predictions/attention/{name}.jpg", f"Saliency in photo {name}")
                    for name in shown
                ],
            ),
            Section(
                title="The page of acnet predict",
                text="predictions/index.html shows these photos as acnet predict does.",
            ),
            Section(title="How to repeat this", text=command),
        ],
    )


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


def _draw_comparisons(folders: Folders) -> list[str]:
    """Draw ground truth beside predictions, also on one sheet, and return the photos' stems."""
    truth = _read_json(folders.layout.annotations("test_0"))
    id_of_name = {image["file_name"]: image["id"] for image in truth["images"]}
    predicted = _read_json(folders.predictions / "predictions.json")
    pictures, lesions = {}, {}
    for image in _read_json(folders.predictions / "images.json")["images"]:
        boxes = [
            row["bbox"]
            for row in truth["annotations"]
            if row["image_id"] == id_of_name[image["file_name"]]
        ]
        lesions[Path(image["file_name"]).stem] = len(boxes)
        rows = [row for row in predicted if row["image_id"] == image["id"]]
        boxes_xyxy, scores, _ = arrays_of(rows)
        photo_bgr = read_photo(folders.photo(image["file_name"]))
        pictures[Path(image["file_name"]).stem] = draw_comparison(
            photo_bgr[:, :, ::-1], boxes_xyxy[scores >= SCORE_THRESHOLD], _xyxy(boxes)
        )
    pictures = dict(sorted(pictures.items(), key=lambda item: -lesions[item[0]]))
    for stem, picture in pictures.items():
        save_picture(folders.output / "pictures" / f"{stem}.png", picture)
    sheet = contact_sheet(list(pictures.values()), columns=2, width_px=960)
    save_picture(folders.output / "pictures" / "all.png", sheet)
    return list(pictures)


def _xyxy(boxes_xywh: list[list[float]]) -> np.ndarray:
    boxes = np.asarray(boxes_xywh, dtype=np.float32).reshape(-1, 4)
    return BoxMode.convert(boxes, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)


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
