"""A generated set in ACNE04's layout with known faults, in the real set's numbers or smaller."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from acnet.data.parallel import map_photos
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.evaluation.counting import HAYASHI_LIMITS, hayashi_grade
from tests.data.samples import annotation_xml

FOLDS = 5
SIDE_PX = 72
CELL_PX = 8  # one box a cell: no two boxes come near each other
MOST_BOXES = 65  # of a photo, as in ACNE04; there are 81 cells
STRAY = "cold_sore"


@dataclass(frozen=True)
class Plan:
    """How large the set is and what is wrong with it. The default is ACNE04.

    Args:
        photos_by_grade: of Hayashi's grades 0 to 3.
        boxes: in all.
        wrong_prefixes: photos whose file name states another grade than the list.
        twins: pairs of byte-identical photos, in different test lists.
        conflicts: of those pairs, with other boxes; half of them with another number of boxes.
        strays: boxes that are named `cold_sore`.
    """

    photos_by_grade: tuple[int, int, int, int] = (513, 633, 182, 129)
    boxes: int = 18_983
    wrong_prefixes: int = 42
    twins: int = 38
    conflicts: int = 14
    strays: int = 1


SMALL = Plan(
    photos_by_grade=(21, 26, 8, 5),
    boxes=782,
    wrong_prefixes=5,
    twins=4,
    conflicts=2,
    strays=1,
)


@dataclass(frozen=True)
class Planted:
    """What the audit has to find.

    Args:
        wrong_prefixes: file names.
        twins: pairs of file names, each sorted.
        conflicts: those of the pairs that have other boxes.
        strays: file names.
    """

    wrong_prefixes: set[str]
    twins: set[tuple[str, str]]
    conflicts: set[tuple[str, str]]
    strays: set[str]


@dataclass(frozen=True)
class _Photo:
    name: str
    count: int
    pixels_of: int  # index of the photo whose pixels it has
    boxes_of: int  # index of the photo whose boxes it has
    stray: bool


def plant(dst: Path, plan: Plan = SMALL, workers: int = 1) -> Planted:
    """Writes the set; the same plan gives the same bytes."""
    counts, pairs = _arrange(_counts(plan), plan)
    first_free = 2 * len(pairs)
    wrong = set(range(first_free, first_free + plan.wrong_prefixes))
    stray = set(range(len(counts) - plan.strays, len(counts)))
    photos = []
    for index, count in enumerate(counts):
        grade = hayashi_grade(count)
        prefix = (grade + 1 + index % 3) % 4 if index in wrong else grade
        twin_of = index - 1 if index < first_free and index % 2 else index
        conflict = index // 2 < plan.conflicts
        name = f"levle{prefix}_{index}"
        boxes_of = index if conflict else twin_of
        photos.append(_Photo(name, count, twin_of, boxes_of, index in stray))
    for folder in ("Classification/JPEGImages", "Detection/VOC2007/Annotations"):
        (dst / folder).mkdir(parents=True)
    work = functools.partial(_write_photo, dst)
    map_photos(work, photos, workers=workers, description="planting")
    _write_lists(dst, photos)
    names = [f"{photo.name}.jpg" for photo in photos]
    twins = [tuple(sorted((names[a], names[b]))) for a, b in pairs]
    return Planted(
        wrong_prefixes={names[i] for i in wrong},
        twins=set(twins),
        conflicts=set(twins[: plan.conflicts]),
        strays={names[i] for i in stray},
    )


def _counts(plan: Plan) -> list[int]:
    """Numbers of boxes of the wanted grades with the wanted sum, rising."""
    lows = [1, *(limit + 1 for limit in HAYASHI_LIMITS)]
    highs = [*HAYASHI_LIMITS, MOST_BOXES]
    ranges = [
        (low, high)
        for low, high, photos in zip(lows, highs, plan.photos_by_grade, strict=True)
        for _ in range(photos)
    ]
    counts = [low for low, _ in ranges]
    rest = plan.boxes - sum(counts)
    # A box here and a box there, so that many photos of a grade differ.
    for index in itertools.cycle(np.random.default_rng(0).permutation(len(ranges)).tolist()):
        add = min(1 + index % 4, rest, ranges[index][1] - counts[index])
        counts[index] += add
        rest -= add
        if not rest:
            return sorted(counts)
    raise AssertionError


def _arrange(counts: Sequence[int], plan: Plan) -> tuple[list[int], list[tuple[int, int]]]:
    """Twins first and beside each other, so that they are in different folds; then the others.

    The last twins of the conflicts differ in number, all others have the same.
    """
    left, chosen = list(counts), []
    with_other_number = range(plan.conflicts - plan.conflicts // 2, plan.conflicts)
    for twin in range(plan.twins):
        wanted_step = 1 if twin in with_other_number else 0
        places = [i for i in range(len(left) - 1) if left[i + 1] - left[i] == wanted_step]
        place = places[(twin * 37) % len(places)]
        chosen += [left.pop(place), left.pop(place)]
    others = np.random.default_rng(1).permutation(left).tolist()
    return chosen + others, [(2 * i, 2 * i + 1) for i in range(plan.twins)]


def _write_photo(dst: Path, photo: _Photo) -> None:
    options = ToyOptions(seed=11, sizes_px=(SIDE_PX,), lesion_px=(4.0, 12.0))
    image_bgr = draw_photo(options, photo.pixels_of).image_bgr
    path = dst / "Classification" / "JPEGImages" / f"{photo.name}.jpg"
    assert cv2.imwrite(str(path), image_bgr)
    boxes = _boxes(photo.boxes_of, photo.count)
    names = ["fore"] * photo.count
    if photo.stray:
        names[0] = STRAY
    size = f"<size><width>{SIDE_PX}</width><height>{SIDE_PX}</height><depth>3</depth></size>"
    xml = annotation_xml(list(zip(names, boxes, strict=True)), size)
    (dst / "Detection" / "VOC2007" / "Annotations" / f"{photo.name}.xml").write_text(xml)


def _boxes(index: int, count: int) -> list[list[int]]:
    """VOC corners of boxes of 4 to 7 px, each in a cell of its own."""
    rng = np.random.default_rng([7, index])
    cells_a_row = SIDE_PX // CELL_PX
    boxes = []
    for cell in rng.permutation(cells_a_row**2)[:count].tolist():
        width, height = rng.integers(4, CELL_PX, 2).tolist()
        x = CELL_PX * (cell % cells_a_row) + int(rng.integers(0, CELL_PX - width + 1))
        y = CELL_PX * (cell // cells_a_row) + int(rng.integers(0, CELL_PX - height + 1))
        boxes.append([x + 1, y + 1, x + width, y + height])
    return boxes


def _write_lists(dst: Path, photos: Sequence[_Photo]) -> None:
    """Test lists of equal length as ACNE04's, 5 x 292 of 1,457: the last ones share some photos."""
    size = -(-len(photos) // FOLDS)
    for fold in range(FOLDS):
        test = list(range(fold, len(photos), FOLDS))
        spare = [i for i in reversed(range(len(photos))) if i not in test]
        test += spare[: size - len(test)]
        parts = {"test": sorted(test), "trainval": sorted(set(range(len(photos))) - set(test))}
        for split, members in parts.items():
            lines = [
                f"{photos[i].name}.jpg  {hayashi_grade(photos[i].count)}  {photos[i].count}\n"
                for i in members
            ]
            (dst / "Classification" / f"NNEW_{split}_{fold}.txt").write_text("".join(lines))
