"""The photos of the report that went worst and best, with what became of their boxes."""

from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from acnet.evaluation.result import EvaluationResult, PhotoRow
from acnet.visualization.svg import photo_data_uri, photo_svg

PHOTOS_A_PART = 3
ORDERS: dict[str, Callable[[PhotoRow], tuple]] = {
    "Lowest F1": lambda row: (row.f1, -(row.false + row.missed), row.index),
    "Most false alarms and missed lesions": lambda row: (
        -(row.false + row.missed),
        row.f1,
        row.index,
    ),
    "Highest F1": lambda row: (-row.f1, -row.matched, row.index),
}


class PhotoBoxes:
    """Boxes of a photo by kind, at the operating threshold."""

    def __init__(self, result: EvaluationResult):
        self.truth, self.detections = result.ground_truth, result.detections
        self.partner = result.matches.matched_gt(iou=0.5)
        self.ignored = result.matches.ignored(iou=0.5)
        self.accepted = self.detections.scores >= result.operating_threshold
        self.truth_xyxy, self.found_xyxy = self.truth.boxes_xyxy, self.detections.boxes_xyxy

    def of_photo(self, index: int) -> dict[str, np.ndarray]:
        """Return a photo's boxes, (N, 4) by kind.

        They are detections that are `found` and `false`, lesions that are `missed`, and those that
        were found, `truth`.
        """
        mine = np.flatnonzero((self.detections.photo == index) & self.accepted & ~self.ignored)
        hits = mine[self.partner[mine] >= 0]
        lesions = np.flatnonzero((self.truth.photo == index) & ~self.truth.crowd)
        hit = np.isin(lesions, self.partner[hits])
        return {
            "truth": self.truth_xyxy[lesions[hit]],
            "found": self.found_xyxy[hits],
            "false": self.found_xyxy[np.setdiff1d(mine, hits)],
            "missed": self.truth_xyxy[lesions[~hit]],
        }


def photo_parts(result: EvaluationResult, photos_root: Path | None) -> dict[str, Any]:
    """Choose the photos to show and draw them, without their folder as outlines alone."""
    drawing = PhotoBoxes(result)
    return {
        "threshold": result.operating_threshold,
        "threshold_source": result.threshold_source,
        "with_pictures": photos_root is not None,
        "parts": [
            {"title": title, "photos": [_view(row, drawing, photos_root) for row in rows]}
            for title, rows in choose_photos(result.photos).items()
            if rows
        ],
    }


def choose_photos(rows: Sequence[PhotoRow]) -> dict[str, list[PhotoRow]]:
    """Choose the worst photos by share and by number of errors, and the best.

    A low F1 is often that of a photo with a lesion or two, and many errors are found where there
    are many lesions, so that either order alone would always show photos of one kind.

    There are at most three under a heading, the first the most typical, and none is shown twice.
    """
    rest, chosen = list(rows), {}
    for title, order in ORDERS.items():
        chosen[title] = sorted(rest, key=order)[:PHOTOS_A_PART]
        rest = [row for row in rest if row not in chosen[title]]
    return chosen


def base_name(file_name: str) -> str:
    """Return the last part of a file name, written with slashes of either kind."""
    name = PureWindowsPath(file_name).name
    return name.encode("utf-8", "replace").decode()  # JSON can hold half a character


def _view(row: PhotoRow, drawing: PhotoBoxes, photos_root: Path | None) -> dict[str, Any]:
    image_hw = tuple(drawing.truth.image_hw[row.index].tolist())
    name = base_name(row.file_name)
    picture = photos_root and photo_data_uri(photos_root, row.file_name, image_hw)
    alt = (
        f"Boxes in {name}: {row.matched} found, {row.false} false alarms, "
        f"{row.missed} missed lesions"
    )
    return {
        "name": name,
        "f1": row.f1,
        "lesions": row.lesions,
        "matched": row.matched,
        "false": row.false,
        "missed": row.missed,
        "counted": row.counted,
        "low": row.counted_low,
        "high": row.counted_high,
        "svg": photo_svg(image_hw, drawing.of_photo(row.index), alt=alt, picture=picture),
    }
