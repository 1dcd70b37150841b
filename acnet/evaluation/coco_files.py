"""COCO files as columns: ground truth at once, predictions as a stream of rows."""

import codecs
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import ijson
import numpy as np

from acnet.errors import UserError
from acnet.evaluation.coco_checks import checked_section, row_fault
from acnet.evaluation.columns import Detections, GroundTruth, sort_detections

READ_BYTES = 2**12
LONGEST_ROW_BYTES = 2**22  # a row with a mask takes some 10,000
DEEPEST_ROW = 2000


def read_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Read a COCO file of annotations.

    Args:
        path: JSON with `images`, `annotations` and `categories`.

    Returns:
        See `ground_truth_from_coco`.

    Raises:
        UserError: It cannot be read, or see `ground_truth_from_coco`.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"Ground truth is a COCO file. Received {path}: {error.strerror}. Check the name."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"Ground truth is a COCO file, JSON in UTF-8. Received {path}: {error}. "
            "Write the file anew; one that was cut off looks like this as well."
        ) from error
    return ground_truth_from_coco(content, source=str(path))


def ground_truth_from_coco(
    content: Mapping[str, Any], *, source: str = "ground truth"
) -> GroundTruth:
    """Turn the content of a COCO file of annotations into columns.

    Args:
        content: With `images`, `annotations` and `categories`.
        source: What errors call it.

    Returns:
        Its columns; photos by rising id, boxes by photo and then as in the file. A missing `area`
        is width times height, a missing `iscrowd` or `difficult` is 0.

    Raises:
        UserError: A section is missing; there is no image or category; an id is no integer from 1,
            is repeated or refers to nothing; a category's name is repeated; or a box is not four
            finite numbers with sizes of at least 0.
    """
    images = sorted(checked_section(content, "images", source), key=_id)
    categories = sorted(checked_section(content, "categories", source), key=_id)
    annotations = checked_section(content, "annotations", source)
    image_ids, category_ids = list(map(_id, images)), list(map(_id, categories))
    columns = _columns(annotations, image_ids, category_ids, f"{source}, annotations")
    order = np.argsort(columns["photo"], kind="stable")
    boxes = columns["boxes_xywh"]
    areas = [row.get("area", w * h) for row, (_, _, w, h) in zip(annotations, boxes, strict=True)]
    return GroundTruth(
        image_ids=np.array(image_ids, dtype=np.int64),
        file_names=tuple(image["file_name"] for image in images),
        image_hw=np.array([(image["height"], image["width"]) for image in images], dtype=np.int64),
        category_ids=np.array(category_ids, dtype=np.int64),
        class_names=tuple(category["name"] for category in categories),
        photo=columns["photo"][order],
        classes=columns["classes"][order],
        boxes_xywh=boxes[order],
        areas=np.array(areas, dtype=np.float64)[order],
        crowd=np.array([row.get("iscrowd", 0) for row in annotations], dtype=bool)[order],
        difficult=np.array([row.get("difficult", 0) for row in annotations], dtype=bool)[order],
    )


def read_predictions(path: str | os.PathLike, ground_truth: GroundTruth) -> Detections:
    """Read a COCO file of results, row by row.

    Args:
        path: JSON, a list of rows with `image_id`, `category_id`, `bbox` (x, y, width, height) and
            `score`.
        ground_truth: What the ids refer to.

    Returns:
        The detections. Beside them, only a small part of the file is in memory at any time.

    Raises:
        UserError: It cannot be read, or a row is not as above; the message names file and row.
    """
    return detections_from_rows(read_json_rows(path), ground_truth, source=str(path))


def detections_from_rows(
    rows: Iterable[Mapping[str, Any]], ground_truth: GroundTruth, *, source: str = "predictions"
) -> Detections:
    """Turn COCO results into columns.

    Args:
        rows: With `image_id`, `category_id`, `bbox` (x, y, width, height) and `score`.
        ground_truth: What the ids refer to.
        source: What errors call them.

    Returns:
        The detections.

    Raises:
        UserError: A row is not as above; the message names its place, from 0.
    """
    scores = array("d")
    columns = _columns(
        rows, ground_truth.image_ids.tolist(), ground_truth.category_ids.tolist(), source, scores
    )
    return sort_detections(**columns, scores=np.frombuffer(scores))


def _columns(
    rows: Iterable[Any],
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    source: str,
    scores: array | None = None,
) -> dict[str, np.ndarray]:
    """Check rows and collect `photo`, `classes` and `boxes_xywh`, and `scores` where wanted."""
    photo_of = {image_id: index for index, image_id in enumerate(image_ids)}
    class_of = {category_id: index for index, category_id in enumerate(category_ids)}
    photo, classes, boxes = array("i"), array("i"), array("d")
    for place, row in enumerate(rows):
        fault = row_fault(row, photo_of, class_of, with_score=scores is not None)
        if fault is not None:
            raise UserError(
                "A row names its image and category and has a box of four numbers: left, top, "
                f"width, height, in pixels. Received {source}, row {place} from 0: {fault}. "
                "Correct the row, or leave it out."
            )
        photo.append(photo_of[row["image_id"]])
        classes.append(class_of[row["category_id"]])
        boxes.extend(row["bbox"])
        if scores is not None:
            scores.append(row["score"])
    return {
        "photo": np.frombuffer(photo, dtype=np.int32),
        "classes": np.frombuffer(classes, dtype=np.int32),
        "boxes_xywh": np.frombuffer(boxes).reshape(-1, 4),
    }


def _id(member: Mapping[str, Any]) -> int:
    return member["id"]


def read_json_rows(path: str | os.PathLike) -> Iterator[Any]:
    """Yield the members of the list that a JSON file consists of, one after the other.

    Only a small part of the file is in memory at any time.

    Raises:
        UserError: It cannot be read, or is not a list in JSON, or a member is longer than 4 MiB or
            nested too deeply.
    """
    number = 0
    try:
        with Path(path).open("rb") as file:
            window = _Window(file)
            for row in ijson.items(window, "item", use_float=True, buf_size=READ_BYTES):
                yield row
                window.start_row()
                number += 1
    except OSError as error:
        raise UserError(
            f"A file of rows must be readable. Received {path}: {error.strerror}. Check the name."
        ) from error
    except (ijson.JSONError, UnicodeError, ValueError) as error:
        raise UserError(
            "Predictions are a JSON list of rows in UTF-8, one a detection, since they are read "
            f"row by row. Received {path}, row {number} from 0: {_first_line(error)}. Write the "
            "file anew; one that was cut off ends like this as well, and NaN is no number of JSON."
        ) from error


class _Window:
    """A file for ijson: a list of rows, none of which is endless or nested without end."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._started = False
        self.start_row()

    def start_row(self) -> None:
        self._row_bytes = self._row_depth = 0

    def read(self, size: int) -> bytes:
        if not size:  # ijson asks thus whether these are bytes
            return b""
        chunk = self._file.read(size)
        if not self._started:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            while chunk.isspace():
                chunk = self._file.read(size)
            if not chunk.lstrip().startswith(b"["):
                raise ValueError("it does not start with [")
            self._started = True
        # ijson names the place of each value by all the brackets around it: its memory grows with
        # the square of the depth. Brackets in texts are counted too; a mask holds some hundred.
        opened, closed = (sum(map(chunk.count, signs)) for signs in ((b"[", b"{"), (b"]", b"}")))
        self._row_depth += opened - closed
        self._row_bytes += len(chunk)
        if self._row_depth > DEEPEST_ROW or self._row_bytes > LONGEST_ROW_BYTES:
            raise ValueError("it is nested too deeply or longer than 4 MiB")
        return chunk


def _first_line(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text.partition("\n")[0].strip(" .") or "it is no JSON"
