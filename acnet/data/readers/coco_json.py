"""Files of COCO's form, whatever is in them: pictures, and objects that refer to them by id.

Both COCO and ACNE04-v2 have this form; they differ in what an object's box is made of.
"""

import collections
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from acnet.data.readers.safe_files import class_name, read_json, shown
from acnet.data.readers.source import rotated_hull
from acnet.data.records import Note
from acnet.errors import UnreadableFileError

NO_ID = -1  # of an annotation whose id is missing or no whole number
MAX_INTEGER = 2**62
MAX_MASK_SIDE = 1_000_000

WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")

BAD_ENTRY = "entry of the JSON dropped: not of COCO's form"
LOST = "object dropped: its image_id is no picture's"
SHARED_ID = "photo dropped: its image id is another's too"
RENUMBERED = "annotation id 0, missing or used twice: renumbered"
TWICE = "picture listed twice: its objects are taken together"
Box = Callable[[Mapping[str, Any]], tuple[float, float, float, float]]
NO_BOX = (math.nan,) * 4


@dataclass(frozen=True)
class Objects:
    """The objects of one picture.

    Args:
        declared_hw: the picture's size as stated, or None.
        names: N class names.
        boxes_xyxy: (N, 4) float64 as written; NaN where there is no box.
        ids: N annotation ids, `NO_ID` where there is none.
        crowd: (N,) bool.
        difficult: (N,) bool.
    """

    declared_hw: tuple[int, int] | None
    names: tuple[str, ...]
    boxes_xyxy: np.ndarray
    ids: tuple[int, ...]
    crowd: np.ndarray
    difficult: np.ndarray


@dataclass(frozen=True)
class Table:
    """One file.

    Args:
        objects: by the picture's name as it is written.
        class_names: that the file declares, in the order of their ids.
        notes: on what could not be taken.
    """

    objects: Mapping[str, Objects]
    class_names: tuple[str, ...]
    notes: list[Note] = field(default_factory=list)


def is_table(content: Any) -> bool:
    """Returns whether JSON has COCO's two lists.

    Args:
        content: as loaded.
    """
    return isinstance(content, dict) and all(
        isinstance(content.get(part), list) for part in ("images", "annotations")
    )


def read_table(path: Path, box: Box) -> Table:
    """Reads a file of COCO's form.

    Args:
        path: the file.
        box: gives the corners of an object, NaN where it has none.

    Raises:
        UnreadableFileError: it is no JSON, or lacks one of the two lists.
        FileNotFoundError: there is no such file.
    """
    content = read_json(path)
    if not is_table(content):
        raise UnreadableFileError(
            "A COCO file is an object with the lists `images` and `annotations`. Received "
            f"{path}: {shown(content)}. Give a file of that form."
        )
    notes = Tally(path.name)
    sizes, name_of_id, shared = _images(content["images"], notes)
    categories, declared = _categories(content.get("categories"))
    by_name: dict[str, list[Mapping]] = {name: [] for name in sizes}
    stems = collections.Counter(PurePosixPath(name).stem for name in sizes)
    name_of_stem = {stem: name for name in sizes if stems[stem := PurePosixPath(name).stem] == 1}
    lost = 0
    for entry in content["annotations"]:
        if not isinstance(entry, dict):
            notes.add(BAD_ENTRY, entry)
            continue
        image_id = entry.get("image_id")
        name = name_of_id.get(_key(image_id))
        if name is None and isinstance(image_id, str):  # some write the name in place of the id
            name = image_id if image_id in by_name else name_of_stem.get(image_id)
        if name is None:
            lost += _key(image_id) not in shared  # their photos are left out as well
            notes.add(LOST, image_id)
        else:
            by_name[name].append(entry)
    if sizes and 2 * lost > len(content["annotations"]):
        raise UnreadableFileError(
            "Objects belong to pictures by `image_id`, or photos with lesions would count as clear "
            f"skin. Received {path.name}, where {lost} of {len(content['annotations'])} objects "
            "belong to no picture. Export the annotations again."
        )
    _note_ids(itertools.chain.from_iterable(by_name.values()), notes)
    objects = {
        name: _objects(entries, sizes[name], categories, box) for name, entries in by_name.items()
    }
    used = {name for found in objects.values() for name in found.names}
    return Table(objects, _without_groups(declared, used), notes.notes())


def box_of(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the corners of a COCO object, from its mask or polygons where no `bbox` has an area.

    A turned box, as detectron2 (`bbox` of five numbers) and CVAT (`attributes.rotation`) write
    them, gives its hull.

    Args:
        entry: an annotation; anything may be missing or of another type.

    Returns:
        x0, y0, x1, y1 as written, NaN where there is nothing.
    """
    corners = NO_BOX
    bbox = entry.get("bbox")
    if isinstance(bbox, (list, tuple)) and len(bbox) == 4:
        x, y, width, height = map(number, bbox)
        corners = (x, y, x + width, y + height)
        attributes = entry.get("attributes")
        angle = number(attributes.get("rotation")) if isinstance(attributes, dict) else math.nan
        if math.isfinite(angle) and angle and width > 0 and height > 0:
            centre = (x + width / 2, y + height / 2)
            return rotated_hull(*centre, width, height, math.radians(angle))
        if width > 0 and height > 0:
            return corners
    elif isinstance(bbox, (list, tuple)) and len(bbox) == 5:
        cx, cy, width, height, angle = map(number, bbox)
        return rotated_hull(cx, cy, width, height, math.radians(angle))
    outline = _outline(entry.get("segmentation"))
    return corners if outline is None else outline


def _outline(mask: Any) -> tuple[float, float, float, float] | None:
    """The box around polygons or a run-length mask; None where there is none."""
    if isinstance(mask, dict):
        return _mask_box(mask)
    polygons = mask if isinstance(mask, list) else []
    if polygons and not isinstance(polygons[0], list):
        polygons = [polygons]
    xs = [number(x) for polygon in polygons if isinstance(polygon, list) for x in polygon[::2]]
    ys = [number(y) for polygon in polygons if isinstance(polygon, list) for y in polygon[1::2]]
    if not xs or not ys or not all(map(math.isfinite, xs + ys)):
        return None
    return (min(xs), min(ys), max(xs), max(ys))


def _mask_box(mask: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """The box around COCO's run-length mask, which runs down the columns, first outside."""
    size, runs = mask.get("size"), mask.get("counts")
    height = number(size[0]) if isinstance(size, list) and len(size) == 2 else math.nan
    if isinstance(runs, str):
        runs = _unpacked(runs)
    if not isinstance(runs, list) or not 1 <= height <= MAX_MASK_SIDE:
        return None
    lengths = np.array([number(run) for run in runs], np.float64)
    if not (np.isfinite(lengths) & (lengths >= 0)).all() or lengths.sum() > MAX_MASK_SIDE**2:
        return None
    ends = np.cumsum(lengths)[1::2]
    starts = ends - lengths[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return None
    first_column, last_column = starts // height, (ends - 1) // height
    whole = last_column > first_column  # such a run touches the top or bottom of a column
    top = np.where(whole, 0, starts % height).min()
    bottom = np.where(whole, height - 1, (ends - 1) % height).max()
    return (
        float(first_column.min()),
        float(top),
        float(last_column.max()) + 1,
        float(bottom) + 1,
    )


def _unpacked(text: str) -> list[int]:
    """Runs from pycocotools' text: 5 bits a character, from the fourth run on as differences."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
        elif shift > 60:
            return []
    return runs


def number(value: Any) -> float:
    """Returns a number of JSON, NaN for anything that is none.

    Args:
        value: anything that JSON holds; numbers in quotes are taken.
    """
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


class Tally:
    """Counts faults of a file by kind, with the first one as an example.

    Args:
        file_name: of the file.
    """

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        self._found: dict[str, list] = {}

    def add(self, kind: str, example: Any) -> None:
        """Counts one fault.

        Args:
            kind: see `Note`.
            example: the faulty value.
        """
        self._found.setdefault(kind, [0, shown(example)])[0] += 1

    def notes(self) -> list[Note]:
        """Returns one note a kind."""
        return [
            Note(kind, self._file_name, f"the first: {example}", count)
            for kind, (count, example) in self._found.items()
        ]


def _images(
    entries: Iterable[Any], notes: Tally
) -> tuple[dict[str, tuple[int, int] | None], dict[Any, str], set]:
    """Sizes by name, names by id, and ids that several pictures share: these are left out."""
    sizes, name_of_id, shared = {}, {}, set()
    for entry in entries:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        key = _key(entry.get("id")) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or key is None:
            notes.add(BAD_ENTRY, entry)
            continue
        if name_of_id.setdefault(key, name) != name:
            shared.add(key)
            notes.add(SHARED_ID, name)
            continue
        if name in sizes:
            notes.add(TWICE, name)
        height, width = number(entry.get("height")), number(entry.get("width"))
        is_size = math.isfinite(height) and math.isfinite(width)
        sizes[name] = (int(height), int(width)) if is_size else None
    dropped = {name_of_id.pop(key) for key in shared} - set(name_of_id.values())
    for name in sorted(dropped):
        notes.add(SHARED_ID, name)
        del sizes[name]
    return sizes, name_of_id, shared


def _categories(entries: Any) -> tuple[dict[Any, str], list[tuple[str, str]]]:
    """Names by id, and the declared names in the order of ids, each with its group."""
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and _key(entry.get("id")) is not None:
            name = class_name(entry.get("name", entry["id"]))
            group = class_name(entry.get("supercategory", ""))
            found.setdefault(_key(entry["id"]), (name, group))
    names = {key: name for key, (name, _) in found.items()}
    return names, [found[key] for key in sorted(found, key=_order)]


def _without_groups(declared: list[tuple[str, str]], used: set[str]) -> tuple[str, ...]:
    """Leaves out names that only group others, as Roboflow writes one with id 0."""
    groups = {group for name, group in declared if group != name}
    names = dict.fromkeys(name for name, _ in declared if name in used or name not in groups)
    return tuple(names)


def _objects(
    entries: list[Mapping],
    declared_hw: tuple[int, int] | None,
    categories: Mapping[Any, str],
    box: Box,
) -> Objects:
    return Objects(
        declared_hw=declared_hw,
        names=tuple(_name(entry, categories) for entry in entries),
        boxes_xyxy=np.array([box(entry) for entry in entries], np.float64).reshape(-1, 4),
        ids=tuple(_id(entry) for entry in entries),
        crowd=np.array([number(entry.get("iscrowd")) == 1 for entry in entries], dtype=bool),
        difficult=np.array([number(entry.get("difficult")) == 1 for entry in entries], dtype=bool),
    )


def _name(entry: Mapping, categories: Mapping[Any, str]) -> str:
    key = _key(entry.get("category_id"))
    if key is not None:
        return categories.get(key, class_name(entry["category_id"]))
    return class_name(entry.get("class_name", entry.get("category_name", "")))


def _note_ids(entries: Iterable[Mapping], notes: Tally) -> None:
    seen = set()
    for entry in entries:
        id_ = _id(entry)
        if id_ in (0, NO_ID) or id_ in seen:
            notes.add(RENUMBERED, entry.get("id"))
        seen.add(id_)


def _id(entry: Mapping) -> int:
    id_ = entry.get("id")
    is_whole = isinstance(id_, int) and not isinstance(id_, bool) and abs(id_) <= MAX_INTEGER
    return id_ if is_whole else NO_ID


def _key(id_: Any) -> Any:
    """An id that can be looked up, or None: JSON allows 1, 1.0, "1", null, lists, NaN."""
    if isinstance(id_, float):
        return int(id_) if math.isfinite(id_) else None
    if isinstance(id_, str) and WHOLE_NUMBER.fullmatch(id_):
        return int(id_)
    return id_ if isinstance(id_, (int, str)) and not isinstance(id_, bool) else None


def _order(key: Any) -> tuple[bool, int, str]:
    return (True, 0, key) if isinstance(key, str) else (False, key, "")
