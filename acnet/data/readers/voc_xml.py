"""One annotation file of PASCAL VOC's form."""

import math
import xml.etree.ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml
import defusedxml.ElementTree
import numpy as np

from acnet.data.readers.box_forms import rotated_hull
from acnet.data.readers.safe_files import class_name
from acnet.errors import UnreadableFileError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """One object as it is written.

    Args:
        name: its class.
        box_xyxy: (4,) float64 in pixel edges from 0; NaN where a corner is missing or no number.
        difficult: VOC's flag, for objects that a detector need not find.
    """

    name: str
    box_xyxy: np.ndarray
    difficult: bool = False


@dataclass(frozen=True)
class VocAnnotation:
    """What one file says.

    Args:
        objects: in the file's order.
        declared_hw: the picture's size as stated, or None.
    """

    objects: list[VocObject]
    declared_hw: tuple[int, int] | None


def read_voc_xml(path: Path) -> VocAnnotation:
    """Read an annotation file.

    Args:
        path: the XML file. Its own word on the picture's name is ignored.

    Returns:
        Its objects, and the size that it states.

    Raises:
        UnreadableFileError: it is not well-formed, or defines entities, which grow without limit.
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"no such file: {path}")
    objects, declared_hw = [], None
    try:
        for node in _children_of_root(path):
            if node.tag == "object":
                objects.append(_object(node))
            elif node.tag == "size":
                declared_hw = _size(node)
    except (
        xml.etree.ElementTree.ParseError,
        defusedxml.DefusedXmlException,
        OSError,
        ValueError,
        LookupError,  # an encoding that nobody knows
    ) as error:
        raise UnreadableFileError(
            f"An annotation must be well-formed XML without entities. Received {path}: {error}. "
            "Replace the file by an intact copy."
        ) from error
    return VocAnnotation(objects, declared_hw)


def _children_of_root(path: Path) -> Iterator[Element]:
    """Yield them one by one and forgets them, so that a million objects fit into memory."""
    root, depth = None, 0
    for event, node in defusedxml.ElementTree.iterparse(path, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if root is None:
            root = node
        elif event == "end" and depth == 1:
            yield node
            root.clear()


def _object(node: Element) -> VocObject:
    return VocObject(
        name=class_name(node.findtext("name", "")),
        box_xyxy=_box(node),
        difficult=_number(node.findtext("difficult", "")) == 1,
    )


def _box(node: Element) -> np.ndarray:
    """The box, else the hull of a rotated box (roLabelImg) or of a polygon (Roboflow)."""
    corners = np.array([_number(node.findtext(f"bndbox/{corner}", "")) for corner in CORNERS])
    if np.isfinite(corners).all():
        # VOC counts pixels from 1 and includes the last one: as detectron2's reader, the start
        # moves.
        return corners - np.array([1.0, 1.0, 0.0, 0.0])
    turned = node.find("robndbox")
    if turned is not None:
        cx, cy, width, height, angle = (
            _number(turned.findtext(key, "")) for key in ("cx", "cy", "w", "h", "angle")
        )
        return np.array(rotated_hull(cx, cy, width, height, angle))
    points = {child.tag: _number(child.text or "") for child in node.iterfind("polygon/*")}
    xs = [value for tag, value in points.items() if tag.startswith("x")]
    ys = [value for tag, value in points.items() if tag.startswith("y")]
    if xs and ys and np.isfinite([*xs, *ys]).all():
        return np.array([min(xs), min(ys), max(xs), max(ys)])
    return corners


def _size(node: Element) -> tuple[int, int] | None:
    height, width = (_number(node.findtext(side, "")) for side in ("height", "width"))
    if not (math.isfinite(height) and math.isfinite(width)):
        return None
    return int(height), int(width)


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ".")) if text.count(",") == 1 else float(text)
    except ValueError:
        return math.nan
