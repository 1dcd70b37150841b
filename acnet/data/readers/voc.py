"""Reading PASCAL VOC's form: a VOCdevkit, or any folder of pictures and XML files.

A VOCdevkit has JPEGImages, Annotations and lists in ImageSets/Main, which are the splits. Exports
of Roboflow and Kaggle have XML files beside the pictures or in a folder of their own; there
folders called train, valid and test are the splits.
"""

import collections
import contextlib
import itertools
import math
import re
import xml.etree.ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree.ElementTree import Element

import defusedxml
import defusedxml.ElementTree
import numpy as np

from acnet.data.readers.safe_files import (
    class_name,
    inside,
    list_files,
    member,
    read_text,
    relative_name,
)
from acnet.data.readers.source import Source, pair_names, split_names, splits_of_folders
from acnet.data.records import Annotated
from acnet.errors import UnreadableFileError, UserError
from acnet.evaluation.box_forms import is_set, rotated_hull
from acnet.file_names import PHOTO_SUFFIXES, NameIndex, fold_name

VOC_FLAGS = frozenset(["-1", "0", "1"])  # in the second column of VOC's lists
MAX_COLUMNS = 20


@dataclass(frozen=True, kw_only=True)
class VocSource(Source):
    """Pictures with XML files."""

    format: str = "voc"
    annotation_root: Path
    annotation_of: Mapping[str, str]  # names of the XML files, below `annotation_root`, by picture
    # What the lists say of a picture beside its name.
    words_of: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of_files(
        cls, image_root: Path, annotation_root: Path, lists: Mapping[str, Path]
    ) -> "VocSource":
        """Pair the pictures with their XML files; the splits are the lists, else the folders."""
        photos = list_files(image_root, PHOTO_SUFFIXES)
        xml_files = list_files(annotation_root, [".xml"])
        for found, place, option in (
            (photos, image_root, "--image-root"),
            (xml_files, annotation_root, "--annotation-root"),
        ):
            if not found:
                raise UserError(
                    "VOC's form has pictures and an XML file for each. Received "
                    f"{place}, which holds none of them. Give their folder by {option}."
                )
        annotation_of = _one_each(pair_names(photos, xml_files, ".xml"), annotation_root)
        # Of photos that are called alike but for their suffix, a list means the annotated one.
        splits, words_of = read_lists(lists, sorted(photos, key=annotation_of.__contains__))
        splits = splits or splits_of_folders(annotation_of)
        listed = {name for members in splits.values() for name in members}
        used = {annotation_of[name] for name in listed if name in annotation_of}
        return cls(
            image_root=image_root,
            splits=splits,
            inputs=[*lists.values(), *(annotation_root / name for name in sorted(used))],
            unlisted=[
                *(image_root / name for name in photos if name not in listed),
                *(annotation_root / name for name in xml_files if name not in used),
            ],
            annotation_root=annotation_root,
            annotation_of=annotation_of,
            words_of=words_of,
        )

    def read(self, file_name: str) -> Annotated:
        """Read the size and the objects of one picture."""
        image_hw = self.read_size(file_name)
        if file_name not in self.annotation_of:
            raise FileNotFoundError(f"no XML file is called as {file_name}, or it is another's")
        objects, declared_hw = read_voc_xml(
            member(self.annotation_root, self.annotation_of[file_name])
        )
        return Annotated(
            file_name=file_name,
            image_hw=image_hw,
            names=tuple(found.name for found in objects),
            boxes_xyxy=np.reshape([found.box_xyxy for found in objects], (-1, 4)),
            declared_hw=declared_hw,
            difficult=np.array([found.difficult for found in objects], dtype=bool),
        )


def _one_each(annotation_of: Mapping[str, str], root: Path) -> dict[str, str]:
    """Leave out pictures whose XML file is another's: of `a.jpg` and `a.png` it names one."""
    uses = collections.Counter(annotation_of.values())
    stated = {xml: _stated_name(root / xml) for xml, n in uses.items() if n > 1}
    return {
        picture: xml
        for picture, xml in annotation_of.items()
        if xml not in stated or _last(stated[xml]) == _last(picture)
    }


def _last(name: str) -> str:
    return fold_name(name).rpartition("/")[2]


def is_voc(src: Path) -> bool:
    """Return whether a folder has pictures and XML files, of which some are not another tool's."""
    if not src.is_dir() or not list_files(src, PHOTO_SUFFIXES):
        return False
    paths = (src / name for name in list_files(src, [".xml"]))
    return any(path.is_file() and not _is_cvat(path) for path in paths)


def _is_cvat(path: Path) -> bool:
    with path.open("rb") as file:
        return b"<annotations>" in file.read(1024)


def open_voc(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> VocSource:
    """Find pictures, XML files and splits of a VOCdevkit, one of its years, or any folder."""
    base = _one_year(src)
    images, boxes = (
        base / name if (base / name).is_dir() else base for name in ("JPEGImages", "Annotations")
    )
    lists = find_lists(base / "ImageSets" / "Main")
    return VocSource.of_files(image_root or images, annotation_root or boxes, lists)


def find_lists(folder: Path) -> dict[str, Path]:
    """Find the lists that are splits; VOC's `dog_train.txt` and the like repeat `train.txt`."""
    if not folder.is_dir():
        return {}
    lists = {stem(name): folder / name for name in list_files(folder, [".txt"]) if "/" not in name}
    whole = [name for name in lists if not any(name.endswith(f"_{other}") for other in lists)]
    return {split: lists[name] for split, name in zip(split_names(whole), whole, strict=True)}


def read_lists(
    lists: Mapping[str, Path], photos: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[str]]]:
    """Read lists of photos: sorted names by split, and the words behind each name.

    Photos are listed with their suffix or without. A name that no photo has stays as it is listed.
    """
    by_name, by_stem = NameIndex(photos), {stem(name): name for name in photos}
    stems, has_spaces = NameIndex(by_stem), any(" " in name for name in photos)
    splits, words_of = {}, {}
    for split, path in lists.items():
        names = set()
        for line in filter(str.strip, read_text(inside(path.parent, path)).splitlines()):
            listings = list(_listings(line.strip(), has_spaces))
            found = (
                by_name.find(listed) or by_stem.get(stems.find(listed)) for listed, _ in listings
            )
            name, (listed, words) = next(
                (pair for pair in zip(found, listings, strict=True) if pair[0]),
                (None, listings[-1]),
            )
            name = name or relative_name(listed, place=str(path))
            words_of.setdefault(name, words)
            names.add(name)
        splits[split] = tuple(sorted(names))
    return splits, words_of


def _listings(line: str, has_spaces: bool) -> Iterator[tuple[str, list[str]]]:
    """A line as a name alone, then as a shorter one with columns, which such names could be."""
    yield line, []
    for space in reversed(list(itertools.islice(re.finditer(r"\s+", line), MAX_COLUMNS))):
        listed, words = line[: space.start()], line[space.end() :].split()
        is_file = listed.lower().endswith(PHOTO_SUFFIXES)
        if not has_spaces or is_file or VOC_FLAGS.issuperset(words):
            yield listed, words


def stem(name: str) -> str:
    """Return a name without its suffix, with its folders."""
    path = PurePosixPath(name)
    return str(path.with_name(path.stem))


def _one_year(src: Path) -> Path:
    found = [*sorted(src.glob("VOC*")), *sorted(src.glob("VOCdevkit/VOC*"))]
    years = [path for path in found if (path / "Annotations").is_dir()]
    if (src / "Annotations").is_dir() or not years:
        return src
    if len(years) > 1:
        raise UserError(
            "One year of VOC is read at a time, since their lists are called the same. Received "
            f"{', '.join(map(str, years))}. Give one of them."
        )
    return years[0]


class VocObject(NamedTuple):
    """One object as it is written: (4,) float64 pixel edges from 0, NaN for missing numbers."""

    name: str
    box_xyxy: np.ndarray
    difficult: bool


def read_voc_xml(path: Path) -> tuple[list[VocObject], tuple[int, int] | None]:
    """Read the objects of an annotation file, and the picture's size if it is stated.

    Its own word on the picture's name is ignored.
    """
    objects, declared_hw = [], None
    for node in _children_of_root(path):
        if node.tag == "object" and not is_set(node.findtext("deleted")):  # by LabelMe
            name = class_name(node.findtext("name", ""))
            difficult = is_set(node.findtext("difficult"))
            objects.append(VocObject(name, _box(node), difficult))
        elif node.tag == "size":
            declared_hw = _size(node)
    return objects, declared_hw


def _stated_name(path: Path) -> str:
    """The name of the picture in an annotation file, empty where it states none."""
    with contextlib.suppress(UnreadableFileError, FileNotFoundError):
        return next((n.text or "" for n in _children_of_root(path) if n.tag == "filename"), "")
    return ""


def _children_of_root(path: Path) -> Iterator[Element]:
    """Yield them one by one and forget them, so that a million objects fit into memory.

    Tags are in lower case and without namespaces. Below another root than `annotation` there are
    objects, or the file is another tool's and says nothing of its picture.
    """
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"no such file: {path}")
    root, depth, has_objects = None, 0, False
    try:
        for event, node in defusedxml.ElementTree.iterparse(path, events=("start", "end")):
            depth += 1 if event == "start" else -1
            if root is None:
                root = node
            elif event == "end" and depth == 1:
                for part in node.iter():
                    part.tag = part.tag.rpartition("}")[2].lower()
                nodes = [node] if node.tag == "object" else list(node.iter("object")) or [node]
                has_objects = has_objects or nodes[0].tag == "object"
                yield from nodes
                root.clear()
        if not has_objects and root.tag.rpartition("}")[2].lower() != "annotation":
            raise ValueError(f"its root is {root.tag}, not annotation")
    except (
        xml.etree.ElementTree.ParseError,
        defusedxml.DefusedXmlException,
        OSError,
        ValueError,
        LookupError,  # an encoding that nobody knows
    ) as error:
        raise UnreadableFileError(
            "An annotation must be well-formed XML of VOC's form without entities. Received "
            f"{path}: {error}. Replace the file by an intact copy."
        ) from error


def _box(node: Element) -> np.ndarray:
    """The box, else the hull of a rotated box (roLabelImg) or of a polygon (Roboflow)."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    corners = np.array([_number(node.findtext(f"bndbox/{side}", "")) for side in sides])
    if np.isfinite(corners).all():
        # VOC counts pixels from 1 with the last one: as in detectron2's reader, the start moves.
        return corners - np.array([1.0, 1.0, 0.0, 0.0])
    turned = node.find("robndbox")
    if turned is not None:
        numbers = (_number(turned.findtext(key, "")) for key in ("cx", "cy", "w", "h", "angle"))
        return np.array(rotated_hull(*numbers))
    children = [*node.iterfind("polygon/*"), *node.iterfind("polygon/pt/*")]  # LabelMe has points
    xs = [_number(child.text or "") for child in children if child.tag.startswith("x")]
    ys = [_number(child.text or "") for child in children if child.tag.startswith("y")]
    if xs and ys and np.isfinite([*xs, *ys]).all():
        return np.array([min(xs), min(ys), max(xs), max(ys)])
    return corners


def _size(node: Element) -> tuple[int, int] | None:
    height, width = (_number(node.findtext(side, "")) for side in ("height", "width"))
    is_size = math.isfinite(height) and math.isfinite(width)
    return (int(height), int(width)) if is_size else None


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ".")) if text.count(",") == 1 else float(text)
    except ValueError:
        return math.nan
