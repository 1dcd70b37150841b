"""Reading a folder of `acnet predict` as a data set: what was found becomes its boxes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acnet.data.readers.box_forms import box_of
from acnet.data.readers.coco_json import Table, read_table
from acnet.data.readers.coco_set import CocoSource, build_source
from acnet.data.readers.safe_files import read_json
from acnet.data.records import Annotated
from acnet.errors import UnreadableFileError
from acnet.files import is_ours
from acnet.photos.results import TABLE_MARKS
from acnet.photos.sources import distinct_stems

IMAGES, PREDICTIONS, COPIES = "images.json", "predictions.json", "photos"


@dataclass(frozen=True, kw_only=True)
class ResultsSource(CocoSource):
    """Photos with the detections that count; large photos are there as smaller copies."""

    def read(self, file_name: str) -> Annotated:
        """Read one photo's size, and bring its boxes to it."""
        found = super().read(file_name)
        if found.declared_hw in (None, found.image_hw):
            return found
        scale = np.array(found.image_hw[::-1]) / found.declared_hw[::-1]
        boxes_xyxy = found.boxes_xyxy * np.tile(scale, 2)
        return dataclasses.replace(found, boxes_xyxy=boxes_xyxy, declared_hw=None)


def is_results(src: Path) -> bool:
    """Return whether a folder holds the two tables of a prediction."""
    return all(is_ours(src / name, TABLE_MARKS[name]) for name in (IMAGES, PREDICTIONS))


def open_results(
    src: Path,
    *,
    image_root: Path | None = None,
    annotation_root: Path | None = None,
    score_threshold: float | None = None,
) -> ResultsSource:
    """Read the detections of a folder of results.

    Args:
        src: The folder.
        image_root: Of the photos; by default the folder's own copies.
        annotation_root: Of the tables, in place of the folder.
        score_threshold: Lowest score of what is taken; by default the one that counted.
    """
    folder = annotation_root or src
    about, rows = read_json(folder / IMAGES), read_json(folder / PREDICTIONS)
    try:
        threshold = about["info"]["count"]["threshold"]
        threshold = threshold if score_threshold is None else score_threshold
        taken = [row for row in rows if row["score"] >= threshold]
        annotations = [{**row, "id": number} for number, row in enumerate(taken, start=1)]
        images = about["images"]
        if image_root is None:
            stems = distinct_stems([image["file_name"] for image in images])
            pairs = zip(images, stems, strict=True)
            images = [{**image, "file_name": f"{stem}.jpg"} for image, stem in pairs]
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableFileError(
            f"A folder of results holds {IMAGES} and {PREDICTIONS} as `acnet predict` wrote them. "
            f"Received {folder}, where they are damaged ({type(error).__name__} {error}). Predict "
            "again."
        ) from error
    content = {**about, "images": images, "annotations": annotations}

    def read(path: Path, box: object) -> Table:
        return read_table(path, box, content)

    root = image_root or src / COPIES
    source = build_source([folder / PREDICTIONS], root, box_of, format_name="results", read=read)
    inputs = [folder / IMAGES, folder / PREDICTIONS]
    return ResultsSource(**{**vars(source), "inputs": inputs, "unlisted": []})
