"""The files of a YOLO export: label files, and the `data.yaml` with class names and splits.

A label file has a line an object, in shares of the picture's width and height.
"""

import io
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from acnet.data.readers.safe_files import class_name, list_files, member, read_text
from acnet.errors import UnreadableFileError, UserError, shorten, shown

BOX_COLUMNS = 5  # class, centre x, centre y, width, height
MAX_CLASS = 1_000_000
SHOWN_LINES = 5
DECIMAL_COMMA = re.compile(r"^(-?[0-9]+),([0-9]+)$")
NO_NAMES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class YoloLabel:
    """What one file says."""

    classes: list[int]
    boxes_xyxy: np.ndarray  # (N, 4) float64 in shares of width and height
    bad_lines: int  # how many lines are no object; `examples` are the first of them
    examples: str


def parse_label(
    text: str, *, has_keypoints: bool = False, number_of_name: Mapping[str, int] = NO_NAMES
) -> YoloLabel:
    """Read the lines of a label file.

    A line of five numbers is a box; a sixth is a score, which is left out, as are the keypoints
    that `data.yaml` may tell of. An odd number from seven on is a class and the corners of a
    polygon, whose box is taken. The class may be written by its name, if that is no number.
    """
    return _parse_boxes(text) or _parse_lines(text, has_keypoints, number_of_name)


def _parse_boxes(text: str) -> YoloLabel | None:
    """Read a file of whole boxes alone, a million a second; None where it holds anything else."""
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


def _parse_lines(text: str, has_keypoints: bool, number_of_name: Mapping[str, int]) -> YoloLabel:
    classes, rows, bad = [], [], []
    for line in text.splitlines():
        words = _words(line)
        if not words:
            continue
        name, numbers = _name_and_numbers(words)
        number = _class_number(name, number_of_name)
        box = _box(numbers, has_keypoints)
        if box is None or number is None:
            bad.append(line)
            continue
        classes.append(number)
        rows.append(box)
    return YoloLabel(
        classes=classes,
        boxes_xyxy=np.array(rows, dtype=np.float64).reshape(-1, 4),
        bad_lines=len(bad),
        examples=shorten(map(shown, bad), SHOWN_LINES) if bad else "",
    )


def _words(line: str) -> list[str]:
    """Split a line at spaces, else at commas or semicolons; a comma may be a decimal point."""
    words = line.split()
    if len(words) == 1:
        return [word for word in re.split(r"[,;]", line.strip()) if word]
    return [DECIMAL_COMMA.sub(r"\1.\2", word.strip(";")).removesuffix(",") for word in words]


def _name_and_numbers(words: Sequence[str]) -> tuple[str, list[float]]:
    """Take the numbers off the end; what comes before is the class, a name of several words."""
    numbers: list[float] = []
    for word in reversed(words[1:]):
        try:
            numbers.append(float(word))
        except ValueError:
            break
    return " ".join(words[: len(words) - len(numbers)]), numbers[::-1]


def _class_number(name: str, number_of_name: Mapping[str, int]) -> int | None:
    try:
        number = float(name)
    except ValueError:
        return number_of_name.get(name)
    return int(number) if number.is_integer() and 0 <= number <= MAX_CLASS else None


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


SPLIT_KEYS = ("train", "val", "valid", "test")
MAX_YAML_BYTES = 64 * 1024  # anchors and aliases let a small file grow without limit
MAX_BRACKETS = 200  # a hundred thousand nested ones keep the parser busy for minutes
MAX_CLASSES = 10_000


@dataclass(frozen=True)
class YoloYaml:
    """What the file says, if there is one."""

    path: Path | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    # Folders or lists of pictures by split, as they are written.
    splits: Mapping[str, list[str]] = field(default_factory=dict)
    has_keypoints: bool = False  # lines have keypoints after the box


def find_yaml(src: Path) -> Path | None:
    """Return the YAML file that describes an export, or None."""
    names = [name for name in list_files(src, (".yaml", ".yml")) if "/" not in name]
    found = [path for path in (member(src, name) for name in names) if path.is_file()]
    named = [path for path in found if path.stem.lower() in ("data", "dataset")]
    # Other tools' settings may lie there as well.
    others = [path for path in found if b"names" in path.read_bytes()]
    return next(iter(named or others), None)


def read_yaml(path: Path) -> YoloYaml:
    """Read the names and splits of a `data.yaml`; anything else in it is left alone."""
    if path.stat().st_size > MAX_YAML_BYTES:
        raise _unreadable(path, f"more than {MAX_YAML_BYTES} bytes")
    try:
        content = _safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError, LookupError, TypeError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(content, dict):
        raise _unreadable(path, shown(content))
    splits = {}
    for key in SPLIT_KEYS:
        if content.get(key) is not None:
            paths = content[key] if isinstance(content[key], list) else [content[key]]
            splits[key] = [str(entry) for entry in paths]
    return YoloYaml(
        path=path,
        class_names=_names(content.get("names"), path),
        splits=splits,
        has_keypoints="kpt_shape" in content,
    )


def find_in_export(src: Path, written: str) -> Path | None:
    """Find a folder or list that a `data.yaml` names, inside the export and nowhere else.

    Roboflow writes `../train/images` for `train/images`, others the folder of their own machine,
    such as `/content/acne/images/train`. So the longest end of the path that exists counts.
    """
    clean = posixpath.normpath(written.strip().replace("\\", "/").replace("\0", ""))
    parts = [part for part in clean.split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        path = src.joinpath(*parts[start:])
        try:
            exists = path.exists()
            inside = path.resolve().is_relative_to(src.resolve())
        except (OSError, ValueError, RuntimeError):  # too long, no Unicode, links in circles
            continue
        if exists and not inside:
            raise UserError(
                "A split lies inside its export, so that no others' files are read. Received "
                f"{path}, a link to {path.resolve()}. Copy its files, or give --image-root."
            )
        if exists:
            return path
    return None


def _safe_load(text: str) -> Any:
    """Load YAML without aliases: nobody needs them here, and they grow without limit."""
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_BRACKETS:
        raise ValueError(f"{brackets} opening brackets")
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"an alias, *{event.anchor}")
    return yaml.safe_load(text)


def _names(names: Any, path: Path) -> dict[int, str]:
    if names is None:
        return {}
    if not isinstance(names, (list, dict)) or len(names) > MAX_CLASSES:
        raise _unreadable(path, f"names: {shown(names)}")
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    try:
        return {int(number): class_name(name) for number, name in pairs}
    except (ValueError, TypeError, OverflowError) as error:
        raise _unreadable(path, f"names: {shown(names)}") from error


def _unreadable(path: Path, why: str) -> UnreadableFileError:
    return UnreadableFileError(
        "A data.yaml holds `names`, as a list or by number, and may hold `train`, `val` and "
        f"`test`. Received {path}: {why}. Correct the file, or remove it to go by the folders."
    )
