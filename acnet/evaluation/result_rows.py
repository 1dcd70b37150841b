"""Predictions as COCO results, read row by row: which photo and class each row means.

A row may name its photo and class besides their ids, as Ultralytics (`file_name`) and SAHI
(`category_name`) do. Their ids are numbers of their own making, so the names count.
"""

import codecs
import logging
import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

import ijson
import numpy as np

from acnet.errors import UserError, shorten
from acnet.evaluation.coco_files import (
    ClassNames,
    box_fault,
    index_of,
    is_number,
    row_error,
    short,
    unknown_id,
    whole_number,
)
from acnet.evaluation.columns import Detections, GroundTruth, sort_detections
from acnet.file_names import fold_name, match_names

logger = logging.getLogger(__name__)

READ_BYTES = 2**12
LONGEST_ROW_BYTES = 2**22  # a row with a mask takes some 10,000
DEEPEST_ROW = 2000
NAMES_SHOWN = 3


def read_predictions(
    path: str | os.PathLike, ground_truth: GroundTruth, *, stems: bool = True
) -> Detections:
    """Read a COCO file of results as `detections_from_rows`, with a small part of it in memory.

    Raises:
        UserError: It cannot be read, or a row is not as it must be; the message names file and row.
    """
    rows = read_json_rows(path)
    return detections_from_rows(rows, ground_truth, source=str(path), stems=stems)


def detections_from_rows(
    rows: Iterable[Mapping[str, Any]],
    ground_truth: GroundTruth,
    *,
    source: str = "predictions",
    stems: bool = True,
) -> Detections:
    """Turn COCO results into columns; errors call them `source`.

    Rows have `image_id`, `category_id`, `bbox` (x, y, width, height) and `score`. Where one has a
    `file_name` or a `category_name` of the ground truth, this counts and not the id. Detections in
    photos that the ground truth does not name are left out. With `stems`, `image_id` may be a file
    name without folder and ending in all rows, as YOLO writes it.

    Raises:
        UserError: A row is not as above; the message names its place, from 0. Or names fit several
            photos, or none at all.
    """
    reader = _RowReader(ground_truth, source, stems)
    for place, row in enumerate(rows):
        fault = reader.take(row)
        if fault is not None:
            raise row_error(source, place, fault)
    return reader.detections()


class _RowReader:
    """Collects rows as columns."""

    def __init__(self, truth: GroundTruth, source: str, stems: bool):
        self._truth, self._source = truth, source
        self._photo_of = {image_id: i for i, image_id in enumerate(truth.image_ids.tolist())}
        self._class_of = {key: i for i, key in enumerate(truth.category_ids.tolist())}
        self._class_of |= {key: self._class_of[same] for key, same in truth.other_ids.items()}
        self._class_names = ClassNames(truth.class_names)
        self._only_name: str | None = None  # the other name of the only class
        self._name_index: dict[str, int] = {}
        self._photo_called = _photos_by_stem(truth.file_names) if stems else {}
        self._no_id: tuple[int, str] | None = None  # the first row whose image_id is no id, if any
        # By id and, in rows without a name, by that as a name; which of the names the row has; -1
        # for none.
        self._photo, self._called, self._name = array("i"), array("i"), array("i")
        self._classes = array("i")
        self._boxes, self._scores = array("d"), array("d")

    def take(self, row: Any) -> str | None:
        """Add a row; where it has a fault, return it instead."""
        if not isinstance(row, dict):
            return f"it must be an object, not {short(row)}"
        name = row.get("file_name")
        if name is not None and type(name) is not str:
            return f"file_name must be text, not {short(name)}"
        photo = index_of(row.get("image_id"), self._photo_of)
        called = self._called_photo(row.get("image_id")) if name is None else None
        if photo is None and name is None:
            fault = unknown_id("image_id", row)
            if called is None:
                return fault
            self._no_id = self._no_id or (len(self._photo), fault)
        class_index = self._class(row)
        if class_index is None:
            return self._unknown_class(row)
        fault = box_fault(row.get("bbox"))
        if fault is not None:
            return fault
        if not is_number(row.get("score")):
            return f"score must be a finite number, not {short(row.get('score'))}"
        self._photo.append(-1 if photo is None else photo)
        self._called.append(-1 if called is None else called)
        self._name.append(
            -1 if name is None else self._name_index.setdefault(name, len(self._name_index))
        )
        self._classes.append(class_index)
        self._boxes.extend(row["bbox"])
        self._scores.append(row["score"])
        return None

    def _class(self, row: Mapping[str, Any]) -> int | None:
        name = row.get("category_name")
        if type(name) is not str or not name.strip():
            return index_of(row.get("category_id"), self._class_of)
        index = self._class_names.find(name)
        if index is None and self._only_name in (None, name) and self._truth.num_classes == 1:
            self._only_name, index = name, 0
        return index

    def _unknown_class(self, row: Mapping[str, Any]) -> str:
        name = row.get("category_name")
        if type(name) is not str or not name.strip():
            return unknown_id("category_id", row)
        return (
            f"category_name must be one of the ground truth's ({', '.join(self._truth.class_names)}"
            f"), or be left out where category_id is one of its ids, not {short(name)}"
        )

    def _called_photo(self, image_id: Any) -> int | None:
        number = whole_number(image_id)
        if number is None and type(image_id) is not str:
            return None
        return self._photo_called.get(fold_name(image_id) if number is None else number)

    def detections(self) -> Detections:
        """Return the rows that were added."""
        if self._only_name is not None:
            only = self._truth.class_names[0]
            logger.info("The class %r is taken for %r, the only one", self._only_name, only)
        photo = self._photos_by_id()
        if self._name_index:
            photo = self._photos_by_name(photo)
        known = photo >= 0
        return sort_detections(
            photo=photo[known],
            classes=np.frombuffer(self._classes, dtype=np.int32)[known],
            boxes_xywh=np.frombuffer(self._boxes).reshape(-1, 4)[known],
            scores=np.frombuffer(self._scores)[known],
        )

    def _photos_by_id(self) -> np.ndarray:
        """Take what rows without a name have as image_id for ids, or all of them for names."""
        by_id, called, name = (
            np.array(column, dtype=np.int32) for column in (self._photo, self._called, self._name)
        )
        ids, named = by_id[name < 0], called[name < 0]
        if self._no_id is not None:
            if (named < 0).any():
                raise row_error(self._source, *self._no_id)
            logger.warning(
                "image_id is taken for the photo's file name in all rows of %s, since it is not "
                "always an id of the ground truth",
                self._source,
            )
            return np.where(name < 0, called, by_id)
        if (named >= 0).all() and (ids != named).any():
            logger.warning(
                "image_id is taken for the ground truth's id in all rows of %s, though each is the "
                "number in the name of a photo too, often another one; if this is meant, as YOLO "
                "writes it, give each row its file_name",
                self._source,
            )
        return by_id

    def _photos_by_name(self, by_id: np.ndarray) -> np.ndarray:
        file_names = self._truth.file_names
        photo_of = {name: index for index, name in enumerate(file_names)}
        matched = match_names(self._name_index, file_names)
        uses = Counter(file_names)
        twice = [written for written, there in matched.found.items() if uses[there] > 1]
        unclear = [*matched.ambiguous, *twice]
        if unclear or not matched.found:
            fault = f"{shorten(unclear, NAMES_SHOWN)} fits several" if unclear else "none fits any"
            raise UserError(
                "A file_name in a row of predictions must fit one photo of the ground truth. "
                f"Received {self._source}, where {fault}; write the names of the ground truth, or "
                "leave file_name out if each image_id is one of the ground truth's."
            )
        if matched.by_end:
            logger.info("%d photos are matched by the end of their path", len(matched.by_end))
        places = [photo_of.get(matched.found.get(name), -1) for name in self._name_index]
        name = np.frombuffer(self._name, dtype=np.int32)
        photo = np.where(name < 0, by_id, np.array(places, dtype=np.int32)[name])
        other = int(((by_id >= 0) & (photo >= 0) & (by_id != photo)).sum())
        if other:
            logger.warning(
                "%d rows of %s name another photo than their image_id; the names count",
                other,
                self._source,
            )
        if (photo < 0).any():
            lost = [written for written in self._name_index if written not in matched.found]
            logger.warning(
                "%d detections are left out, in photos that the ground truth does not hold (%s)",
                int((photo < 0).sum()),
                shorten(lost, NAMES_SHOWN),
            )
        return photo


def _photos_by_stem(file_names: Iterable[str]) -> dict[str | int, int]:
    """Return photos by what YOLO writes as image_id: their name without folder and ending.

    It is a number where it is one. Names of several photos are left out.
    """
    photos: dict[str | int, set[int]] = defaultdict(set)
    for index, name in enumerate(file_names):
        path = PurePosixPath(fold_name(name))
        for key in (str(path), path.name, path.stem):
            number = whole_number(key)
            photos[key if number is None else number].add(index)
    return {key: min(found) for key, found in photos.items() if len(found) == 1}


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
