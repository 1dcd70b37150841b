"""One annotation file of PASCAL VOC's form."""

import math
import xml.etree.ElementTree
from dataclasses import dataclass
from pathlib import Path

import defusedxml
import defusedxml.ElementTree
import numpy as np

from acnet.data.images import UnreadableFileError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """One object as it is written.

    Args:
        name: its class.
        box_xyxy: (4,) float64 in pixel edges from 0; NaN where a corner is missing or no number.
    """

    name: str
    box_xyxy: np.ndarray


def read_voc_xml(path: Path) -> list[VocObject]:
    """Reads the objects of an annotation file.

    Args:
        path: the XML file. Its own words on the picture's name and size are ignored.

    Returns:
        The objects in the file's order.

    Raises:
        UnreadableFileError: it is not well-formed, or defines entities, which grow without limit.
    """
    try:
        root = defusedxml.ElementTree.parse(path).getroot()
    except (xml.etree.ElementTree.ParseError, defusedxml.DefusedXmlException, ValueError) as error:
        raise UnreadableFileError(
            f"An annotation must be well-formed XML without entities. Received {path}: {error}. "
            "Replace the file by an intact copy."
        ) from error
    return [
        VocObject(name=node.findtext("name", "").strip(), box_xyxy=_box(node))
        for node in root.findall("object")
    ]


def _box(node: xml.etree.ElementTree.Element) -> np.ndarray:
    # VOC counts pixels from 1 and includes the last one: as detectron2's reader, the start moves.
    corners = [_number(node.findtext(f"bndbox/{corner}", "")) for corner in CORNERS]
    return np.array(corners) - np.array([1.0, 1.0, 0.0, 0.0])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
