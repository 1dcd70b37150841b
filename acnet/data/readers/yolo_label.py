"""One label file of YOLO's form: a line an object, in shares of the picture's width and height."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acnet.data.readers.safe_files import shown

BOX_COLUMNS = 5  # class, centre x, centre y, width, height
MAX_CLASS = 1_000_000
SHOWN_LINES = 5


@dataclass(frozen=True)
class YoloLabel:
    """What one file says.

    Args:
        classes: N numbers of classes, from 0.
        boxes_xyxy: (N, 4) float64 in shares of width and height.
        bad_lines: how many lines are no object.
        examples: the first of them.
    """

    classes: list[int]
    boxes_xyxy: np.ndarray
    bad_lines: int
    examples: str


def parse_label(text: str, *, has_keypoints: bool = False) -> YoloLabel:
    """Reads the lines of a label file.

    A line of five numbers is a box; a sixth is a score, which is left out. An odd number from
    seven on is a class and the corners of a polygon, whose box is taken.

    Args:
        text: the file.
        has_keypoints: data.yaml says that the numbers after the box are keypoints.

    Returns:
        The objects in the file's order.
    """
    return _parse_boxes(text) or _parse_lines(text, has_keypoints)


def _parse_boxes(text: str) -> YoloLabel | None:
    """Reads a file of whole boxes alone, a million a second; None where it holds anything else."""
    if not text.strip():
        return None
    try:
        table = np.loadtxt(io.StringIO(text), dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        return None
    if table.shape[1] not in (BOX_COLUMNS, BOX_COLUMNS + 1):
        return None
    numbers = table[:, 0]
    if not ((numbers >= 0) & (numbers <= MAX_CLASS) & (numbers == np.floor(numbers))).all():
        return None
    centre, half = table[:, 1:3], table[:, 3:5] / 2
    with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers are dropped later
        boxes_xyxy = np.concatenate([centre - half, centre + half], axis=1)
    return YoloLabel(numbers.astype(np.int64).tolist(), boxes_xyxy, bad_lines=0, examples="")


def _parse_lines(text: str, has_keypoints: bool) -> YoloLabel:
    classes, rows, bad = [], [], []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            bad.append(line)
            continue
        box = _box(numbers[1:], has_keypoints)
        if box is None or not numbers[0].is_integer() or not 0 <= numbers[0] <= MAX_CLASS:
            bad.append(line)
            continue
        classes.append(int(numbers[0]))
        rows.append(box)
    return YoloLabel(
        classes=classes,
        boxes_xyxy=np.array(rows, dtype=np.float64).reshape(-1, 4),
        bad_lines=len(bad),
        examples=", ".join(shown(line) for line in bad[:SHOWN_LINES]),
    )


def _box(numbers: Sequence[float], has_keypoints: bool) -> tuple[float, ...] | None:
    """The corners of the box that the numbers after the class mean, or None."""
    if len(numbers) in (BOX_COLUMNS - 1, BOX_COLUMNS) or (
        has_keypoints and len(numbers) >= BOX_COLUMNS
    ):
        x, y, width, height = numbers[:4]
        return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        return (min(xs), min(ys), max(xs), max(ys))
    return None
