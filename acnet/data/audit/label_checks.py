"""Faults of names, ids, grades and counts."""

import collections
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from acnet.data.audit.findings import Finding
from acnet.data.grade import hayashi_grade
from acnet.data.records import Annotated

# Where a set declares no names, one is a stray if it is so rare, and another one so common, that it
# must be a slip of the annotator: ACNE04 has one `cold_sore` among 18,983 objects.
STRAY_SHARE = 0.01
DOMINANT_SHARE = 0.9
SHOWN_NAMES = 3  # of a photo
GRADE_PREFIX = re.compile(r"levle(\d)_")  # the spelling is ACNE04's own


def check_photo_labels(photo: Annotated) -> Iterator[Finding]:
    """Compares size, grade, count, file name and boxes of one photo.

    Args:
        photo: as annotated.

    Yields:
        What does not agree.
    """
    name, boxes = photo.file_name, len(photo.boxes_xyxy)
    if not boxes:
        yield Finding("no boxes", name)
    if photo.declared_hw is not None and photo.declared_hw != photo.image_hw:
        yield Finding("size differs", name, _sizes(photo.declared_hw, photo.image_hw))
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
    """Finds names that do not belong.

    Args:
        photos: of the whole set.
        declared: the names that the set states; empty where it states none.

    Yields:
        One finding for each photo that has some.
    """
    counts = collections.Counter(name for photo in photos for name in photo.names)
    total = counts.total()
    if declared:
        strange, why = set(counts) - set(declared), "the set does not declare it"
    else:
        strange, why = _strays(counts), "the others are nearly all of one name"
    for photo in photos:
        here = [name for name in photo.names if name in strange]
        if here:
            shown = [f"{name!r} ({counts[name]} in all)" for name in dict.fromkeys(here)]
            more = f" and {len(shown) - SHOWN_NAMES} more" if len(shown) > SHOWN_NAMES else ""
            detail = f"{', '.join(shown[:SHOWN_NAMES])}{more} of {total} objects; {why}"
            yield Finding("stray class", photo.file_name, detail, len(here))


def check_ids(
    photos: Sequence[Annotated], splits: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Finds annotation ids that mislead evaluation.

    pycocotools takes a matched id of 0 for "no match", and keeps one of two objects of equal id.

    Args:
        photos: of the whole set.
        splits: file names by split. Ids are compared within the first split that lists a photo,
            since other splits are other files, which count from 1 again.

    Yields:
        At most one finding of each kind, with the number of objects and an example.
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
        yield Finding(
            "annotation id duplicated", first, f"id {annotation_id}", len(repeated), others
        )


def _strays(counts: collections.Counter) -> set[str]:
    total = counts.total()
    if not total or max(counts.values()) < DOMINANT_SHARE * total:
        return set()
    return {name for name, number in counts.items() if number <= STRAY_SHARE * total}


def _sizes(declared_hw: tuple[int, int], image_hw: tuple[int, int]) -> str:
    text = "stated {1}x{0}, decoded {3}x{2}".format(*declared_hw, *image_hw)
    return f"{text}: sides exchanged" if declared_hw == image_hw[::-1] else text
