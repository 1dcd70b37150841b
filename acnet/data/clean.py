"""From what somebody annotated to what training takes, with a note on each difference."""

import collections
from collections.abc import Sequence

import numpy as np

from acnet.data.boxes import OUTSIDE, clean_boxes
from acnet.data.class_map import ClassMap
from acnet.data.records import Annotated, ImageRecord, Note, pick_flags

MOST_OUTSIDE = "photo dropped: most of its boxes lie outside"
OTHER_SIZE = "photo of another size than its annotation states"
SHOWN_NAMES = 20  # of one photo; the rest is counted in one note


def clean(annotated: Annotated, classes: ClassMap) -> tuple[ImageRecord | None, list[Note]]:
    """Keeps the objects of the wanted classes, inside their picture.

    Args:
        annotated: as read.
        classes: the wanted ones.

    Returns:
        The record, or None where most of the boxes lie outside the picture: it has lesions that
        nobody can place, and would teach that they are none. With it notes on all that was left
        out or changed.
    """
    file_name = annotated.file_name
    height, width = annotated.image_hw
    notes = [*annotated.notes, *_size_notes(annotated)]
    wanted, name_notes = _wanted(annotated.names, classes, file_name)
    notes += name_notes
    boxes, kept, box_notes = clean_boxes(
        annotated.boxes_xyxy[wanted], annotated.image_hw, file_name
    )
    notes += box_notes
    outside = sum(note.count for note in box_notes if note.kind == OUTSIDE)
    if 2 * outside > len(wanted):
        return None, [*notes, Note(MOST_OUTSIDE, file_name, f"{outside} of {len(wanted)} boxes")]
    indices = wanted[kept]
    record = ImageRecord(
        file_name=file_name,
        width=width,
        height=height,
        boxes_xyxy=boxes,
        classes=np.array([classes.index_of[annotated.names[i]] for i in indices], dtype=np.int64),
        crowd=pick_flags(annotated.crowd, indices),
        difficult=pick_flags(annotated.difficult, indices),
    )
    return record, notes


def _wanted(
    names: Sequence[str], classes: ClassMap, file_name: str
) -> tuple[np.ndarray, list[Note]]:
    wanted = [index for index, name in enumerate(names) if name in classes.index_of]
    others = collections.Counter(name for name in names if name not in classes.index_of)
    dropped = sorted(others.items())
    notes = [
        Note(f"object dropped: name {name!r}", file_name, count=count)
        for name, count in dropped[:SHOWN_NAMES]
    ]
    rest = sum(count for _, count in dropped[SHOWN_NAMES:])
    if rest:
        notes.append(Note("object dropped: one of many other names", file_name, count=rest))
    return np.array(wanted, dtype=np.int64), notes


def _size_notes(annotated: Annotated) -> list[Note]:
    if annotated.declared_hw in (None, annotated.image_hw):
        return []
    (height, width), (stated_height, stated_width) = annotated.image_hw, annotated.declared_hw
    detail = f"{stated_width}x{stated_height} stated, {width}x{height} decoded"
    return [Note(OTHER_SIZE, annotated.file_name, detail)]
