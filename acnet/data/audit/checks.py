"""Faults of single photos and of names and ids: boxes, sizes, grades, counts.

Shape shorthand: N boxes of the photo.
"""

import collections
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from acnet.data.audit.findings import Finding
from acnet.data.clean import UNUSABLE, faulty_boxes
from acnet.data.records import Annotated
from acnet.errors import shorten
from acnet.evaluation.counting import hayashi_grade
from acnet.photos.merge import overlapping_pairs

# A box drawn twice by hand differs by a pixel or two; two lesions that touch share far less.
NEAR_IOU = 0.95
MAX_COMPARED = 10_000  # boxes of one photo: near duplicates among more would take minutes


def check_boxes(photo: Annotated) -> list[Finding]:
    """Look at every box of a photo; a box that is no box is reported once, by its first fault."""
    boxes = photo.boxes_xyxy
    faults = faulty_boxes(boxes, photo.image_hw)
    findings = [
        Finding(kind, photo.file_name, _example(boxes, np.flatnonzero(faulty)), int(faulty.sum()))
        for kind, faulty in faults.items()
        if faulty.any()
    ]
    unusable = np.any([faults[kind] for kind in UNUSABLE], axis=0)
    return findings + list(_check_copies(photo, np.flatnonzero(~unusable)))


def exact_copies(photo: Annotated) -> np.ndarray:
    """Mark each box that an earlier one of the same name equals; NaN equals nothing."""
    seen, copies = set(), np.zeros(len(photo.boxes_xyxy), dtype=bool)
    for index, (name, box) in enumerate(zip(photo.names, photo.boxes_xyxy.tolist(), strict=True)):
        key = (name, *box)
        copies[index] = key in seen and np.isfinite(box).all()
        seen.add(key)
    return copies


def near_copies(boxes_xyxy: np.ndarray, min_iou: float) -> np.ndarray:
    """Return all pairs of boxes that nearly coincide: (P, 2) indices, the smaller first, sorted."""
    same_class, tiles = np.zeros(len(boxes_xyxy)), np.arange(len(boxes_xyxy))  # no pair left out
    below = np.nextafter(np.float32(min_iou), np.float32(0))
    pairs = overlapping_pairs(boxes_xyxy, same_class, tiles, above_iou=below)
    return np.stack(pairs, axis=1)


def _check_copies(photo: Annotated, usable: np.ndarray) -> Iterator[Finding]:
    copies = exact_copies(photo)
    if copies.any():
        example = _example(photo.boxes_xyxy, np.flatnonzero(copies))
        yield Finding("box duplicated", photo.file_name, example, int(copies.sum()))
    if len(usable) > MAX_COMPARED:
        yield Finding("very many boxes", photo.file_name, f"{len(usable)} boxes", len(usable))
        return
    single = usable[~copies[usable]]
    height, width = photo.image_hw
    inside = np.clip(photo.boxes_xyxy[single], 0.0, [width, height, width, height])
    pairs = single[near_copies(inside, NEAR_IOU)]
    same_name = np.array([photo.names[i] == photo.names[j] for i, j in pairs], dtype=bool)
    for kind, is_kind in (("box nearly duplicated", same_name), ("box with two names", ~same_name)):
        if is_kind.any():
            shown = (f"{photo.names[i]} {_numbers(photo.boxes_xyxy[i])}" for i in pairs[is_kind][0])
            detail = " and ".join(shown)
            yield Finding(kind, photo.file_name, detail, int(is_kind.sum()))


def _example(boxes_xyxy: np.ndarray, indices: np.ndarray) -> str:
    return f"box {indices[0] + 1}: {_numbers(boxes_xyxy[indices[0]])}"


def _numbers(box_xyxy: np.ndarray) -> str:
    return "xyxy " + " ".join(f"{value:.6g}" for value in box_xyxy)


# Where a set declares no names, one is a stray if it is so rare, and another one so common, that it
# must be a slip of the annotator: ACNE04 has one `cold_sore` among 18,983 objects.
STRAY_SHARE = 0.01
DOMINANT_SHARE = 0.9
SHOWN_NAMES = 3  # of a photo
GRADE_PREFIX = re.compile(r"levle(\d)_")  # the spelling is ACNE04's own


def check_photo_labels(photo: Annotated) -> Iterator[Finding]:
    """Compare size, grade, count, file name and boxes of one photo."""
    name, boxes = photo.file_name, len(photo.boxes_xyxy)
    if not boxes:
        yield Finding("no boxes", name)
    if photo.declared_hw not in (None, photo.image_hw):
        detail = "stated {1}x{0}, decoded {3}x{2}".format(*photo.declared_hw, *photo.image_hw)
        detail += ": sides exchanged" if photo.declared_hw == photo.image_hw[::-1] else ""
        yield Finding("size differs", name, detail)
    if photo.count is not None and photo.count != boxes:
        yield Finding("count against boxes", name, f"count {photo.count}, {boxes} boxes")
    count = boxes if photo.count is None else photo.count
    by_count = hayashi_grade(count)
    if photo.grade is not None and photo.grade != by_count:
        detail = f"grade {photo.grade}, but {count} lesions are grade {by_count}"
        yield Finding("grade against count", name, detail)
    prefix = GRADE_PREFIX.match(PurePosixPath(name).name)
    grade = by_count if photo.grade is None else photo.grade
    if prefix and int(prefix[1]) != grade:
        yield Finding("prefix against grade", name, f"named {prefix[1]}, graded {grade}")


def check_names(photos: Sequence[Annotated], declared: Sequence[str]) -> Iterator[Finding]:
    """Find photos with names that do not belong, among those of the whole set."""
    counts = collections.Counter(name for photo in photos for name in photo.names)
    total = counts.total()
    if declared:
        strange, why = set(counts) - set(declared), "the set does not declare it"
    else:
        strange, why = _strays(counts), "the others are nearly all of one name"
    for photo in photos:
        here = [name for name in photo.names if name in strange]
        if here:
            named = (f"{name!r} ({counts[name]} in all)" for name in dict.fromkeys(here))
            detail = f"{shorten(named, SHOWN_NAMES)} of {total} objects; {why}"
            yield Finding("stray class", photo.file_name, detail, len(here))


def check_ids(
    photos: Sequence[Annotated], splits: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Find annotation ids that mislead evaluation: one finding of each kind, with an example.

    pycocotools takes a matched id of 0 for "no match", and keeps one of two objects of equal id.
    Ids are compared within the first split that lists a photo, since other splits are other files,
    which count from 1 again.
    """
    pairs = [(annotation_id, photo) for photo in photos for annotation_id in photo.annotation_ids]
    zeros = [photo.file_name for annotation_id, photo in pairs if annotation_id == 0]
    if zeros:
        yield Finding("annotation id 0", zeros[0], number=len(zeros))
    home = {name: split for split in reversed(list(splits)) for name in splits[split]}
    owner, repeated = {}, []
    for annotation_id, photo in pairs:
        key = home.get(photo.file_name), annotation_id
        if key in owner:
            repeated.append((owner[key], photo.file_name, annotation_id))
        owner.setdefault(key, photo.file_name)
    if repeated:
        first, name, annotation_id = repeated[0]
        others = () if name == first else (name,)
        detail = f"id {annotation_id}"
        yield Finding("annotation id duplicated", first, detail, len(repeated), others)


def _strays(counts: collections.Counter) -> set[str]:
    total = counts.total()
    if not total or max(counts.values()) < DOMINANT_SHARE * total:
        return set()
    return {name for name, number in counts.items() if number <= STRAY_SHARE * total}
