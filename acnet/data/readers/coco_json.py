"""Files of COCO's form, whatever is in them: pictures, and objects that refer to them by id.

Both COCO and ACNE04-v2 have this form; they differ in what an object's box is made of.
"""

import collections
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from acnet.data.readers.safe_files import class_name, read_json
from acnet.data.records import Note
from acnet.errors import UnreadableFileError, shown
from acnet.evaluation.box_forms import is_set, number
from acnet.file_names import NameIndex

NO_ID = -1  # of an annotation whose id is missing or no whole number
MAX_INTEGER = 2**62

WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")

BAD_ENTRY = "entry of the JSON dropped: not of COCO's form"
LOST = "object dropped: its image_id is no picture's"
SHARED_ID = "photo dropped: its image id is another's too"
RENUMBERED = "annotation id 0, missing or used twice: renumbered"
TWICE = "picture listed twice: its objects are taken together"
CONTRADICTS = "object whose file_name and image_id are two pictures': the name counts"
Box = Callable[[Mapping[str, Any]], tuple[float, float, float, float]]


@dataclass(frozen=True)
class Objects:
    """The objects of one picture, in the fields of `Annotated`; NaN where there is no box."""

    declared_hw: tuple[int, int] | None
    names: tuple[str, ...]
    boxes_xyxy: np.ndarray
    annotation_ids: tuple[int, ...]
    crowd: np.ndarray
    difficult: np.ndarray


@dataclass(frozen=True)
class Table:
    """One file: its objects by the name of their picture as written, and the classes in order."""

    objects: Mapping[str, Objects]
    class_names: tuple[str, ...]
    notes: list[Note]


def read_table(path: Path, box: Box, content: Any = None) -> Table:
    """Read a file of COCO's form, or what it would hold; `box` gives the corners of an object."""
    content = read_json(path) if content is None else content
    table = content if isinstance(content, dict) else {}
    if not all(isinstance(table.get(part), list) for part in ("images", "annotations")):
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
    index, lost = NameIndex(sizes), 0
    for entry in content["annotations"]:
        if not isinstance(entry, dict):
            notes.add(BAD_ENTRY, entry)
            continue
        image_id = entry.get("image_id")
        name = name_of_id.get(_key(image_id))
        if name is None and isinstance(image_id, str):  # some write the name in place of the id
            name = image_id if image_id in by_name else name_of_stem.get(image_id)
        written = entry.get("file_name")  # which some write beside the id
        named = index.find(written) if isinstance(written, str) else None
        if named is not None and name not in (None, named):
            notes.add(CONTRADICTS, f"{written} and {name}")
        name = named or name
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


class Tally:
    """Counts faults of a file by kind, with the first one as an example."""

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        self._found: dict[str, list] = {}

    def add(self, kind: str, example: Any) -> None:
        """Count one fault."""
        self._found.setdefault(kind, [0, shown(example)])[0] += 1

    def notes(self) -> list[Note]:
        """Return one note a kind."""
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
        fields = entry if isinstance(entry, dict) else {}
        name, key = fields.get("file_name"), _key(fields.get("id"))
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
    """Name by id, and the declared names in the order of ids, each with its group."""
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and _key(entry.get("id")) is not None:
            name = class_name(entry.get("name", entry["id"]))
            group = class_name(entry.get("supercategory", ""))
            found.setdefault(_key(entry["id"]), (name, group))
    # Numbers come first, then words.
    order = sorted(found, key=lambda key: (isinstance(key, str), key))
    return {key: name for key, (name, _) in found.items()}, [found[key] for key in order]


def _without_groups(declared: list[tuple[str, str]], used: set[str]) -> tuple[str, ...]:
    """Leave out names that only group others, as Roboflow writes one with id 0."""
    groups = {group for name, group in declared if group != name}
    return tuple(dict.fromkeys(n for n, _ in declared if n in used or n not in groups))


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
        annotation_ids=tuple(_id(entry) for entry in entries),
        crowd=np.array([is_set(entry.get("iscrowd")) for entry in entries], dtype=bool),
        difficult=np.array([is_set(entry.get("difficult")) for entry in entries], dtype=bool),
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
