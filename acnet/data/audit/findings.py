"""What the audit has to say: sizes, counts and shares of a set, and every kind of fault.

Each kind says how grave it is and what to do; docs/data.md explains them, and a test compares the
two. A box that no anchor overlaps by half is hard to propose. Shape shorthand: N boxes, A anchors.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acnet.data.clean import clean_boxes
from acnet.data.records import Annotated
from acnet.evaluation.counting import hayashi_grade

GOOD_IOU = 0.5
# The paper's anchors, as detectron2's `DefaultAnchorGenerator` places them: square roots of areas,
# heights over widths, and the distance of the grid points that all of them are centred on.
ANCHOR_SIZES_PX = (32.0, 64.0, 128.0, 256.0)
ANCHOR_RATIOS = (0.5, 1.0, 2.0)
ANCHOR_STRIDE_PX = 8


def best_anchor_iou(boxes_xyxy: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """Return each box's best IoU, (N,), with any anchor at any place, without trying the places.

    The overlap of two intervals never grows as their centres part, so along either axis the grid
    point nearest to the box's centre is the best for every anchor, whatever happens along the other
    one: only A anchors a box have to be tried. The grid begins at the picture's left and top edge
    and ends before its right and bottom edge; anchors may leave the picture, as in training.
    """
    last_point = (np.array(image_hw[::-1]) - 1) // ANCHOR_STRIDE_PX
    centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    points = np.clip(np.round(centers / ANCHOR_STRIDE_PX), 0, last_point) * ANCHOR_STRIDE_PX
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    sizes, ratios = np.meshgrid(ANCHOR_SIZES_PX, np.sqrt(ANCHOR_RATIOS), indexing="ij")
    anchor_sides = np.stack([(sizes / ratios).ravel(), (sizes * ratios).ravel()], axis=1)  # (A, 2)
    # (N, A, 2): how much of either side an anchor at the nearest point covers
    reach = (sides[:, None] + anchor_sides) / 2 - np.abs(centers - points)[:, None]
    covered = np.clip(np.minimum(np.minimum(sides[:, None], anchor_sides), reach), 0.0, None)
    shared = covered.prod(axis=2)
    union = sides.prod(axis=1)[:, None] + anchor_sides.prod(axis=1) - shared
    return (shared / union).max(axis=1, initial=0.0)


PERCENTS = (5, 50, 95)


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """How many photos a split lists, and how many boxes are on them, as annotated."""

    photos: int
    boxes: int


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What a set holds; photos that cannot be read count as listed and have no boxes."""

    photos: int  # listed in any split; `read` of them have a readable picture and annotation
    read: int
    boxes: int
    names: Mapping[str, int]  # number of objects by name, most frequent first
    splits: Mapping[str, SplitSize]
    # Listed grades, or Hayashi's of the number of boxes where none is listed.
    photos_by_grade: Mapping[int, int]
    # (N,) square roots of the areas of the usable boxes, clipped to their picture.
    sizes_px: np.ndarray
    counts: np.ndarray  # (M,) boxes of each read photo
    # Of the usable boxes, that an anchor overlaps by at least half; None if no box.
    anchor_share: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON, histograms instead of the single values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["splits"] = {name: dataclasses.asdict(s) for name, s in self.splits.items()}
        values["photos_by_grade"] = {str(k): v for k, v in self.photos_by_grade.items()}
        values["sizes_px"] = _summary(self.sizes_px, size_edges(self.sizes_px))
        values["counts"] = _summary(self.counts, count_edges(self.counts))
        return values


def describe(photos: Sequence[Annotated], splits: Mapping[str, Sequence[str]]) -> Statistics:
    """Count what a set holds, and compare its boxes with the anchors; `photos` could be read."""
    usable = [(clean_boxes(p.boxes_xyxy, p.image_hw, "")[0], p.image_hw) for p in photos]
    usable = [(boxes, image_hw) for boxes, image_hw in usable if len(boxes)]
    stacked = np.concatenate([np.zeros((0, 4)), *(boxes for boxes, _ in usable)])
    best = [best_anchor_iou(boxes, image_hw) for boxes, image_hw in usable]
    share = float((np.concatenate(best) >= GOOD_IOU).mean()) if best else None
    names = collections.Counter(name for photo in photos for name in photo.names)
    boxes_of = {photo.file_name: len(photo.boxes_xyxy) for photo in photos}
    return Statistics(
        photos=len({name for members in splits.values() for name in members}),
        read=len(photos),
        boxes=sum(boxes_of.values()),
        names=dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))),
        splits={
            split: SplitSize(photos=len(listed), boxes=sum(boxes_of.get(n, 0) for n in listed))
            for split, listed in sorted(splits.items())
        },
        photos_by_grade=dict(sorted(collections.Counter(map(grade_of, photos)).items())),
        sizes_px=np.sqrt((stacked[:, 2:] - stacked[:, :2]).prod(axis=1)),
        counts=np.array([len(photo.boxes_xyxy) for photo in photos], dtype=np.int64),
        anchor_share=share,
    )


def grade_of(photo: Annotated) -> int:
    """Return the listed grade, or Hayashi's of the number of boxes where none is listed."""
    return hayashi_grade(len(photo.boxes_xyxy)) if photo.grade is None else photo.grade


def quantiles(values: np.ndarray) -> list[float]:
    """Return the 5th, 50th and 95th percentile; an empty list where there are no values."""
    return np.percentile(values, PERCENTS).round(2).tolist() if len(values) else []


def size_edges(sizes_px: np.ndarray) -> np.ndarray:
    """Return the edges of a histogram of box sizes, half an octave apart."""
    if not len(sizes_px):
        return np.array([1.0, 2.0])
    low, high = np.floor(np.log2(sizes_px.min()) * 2), np.floor(np.log2(sizes_px.max()) * 2) + 1
    return 2.0 ** (np.arange(low, high + 1) / 2)


def count_edges(counts: np.ndarray) -> np.ndarray:
    """Return the edges of a histogram of boxes a photo, about twenty whole numbers apart evenly."""
    most = int(counts.max(initial=0))
    step = -(-(most + 1) // 20)
    return np.arange(0, most + step + 1, step)


def _summary(values: np.ndarray, edges: np.ndarray) -> dict[str, Any]:
    numbers, _ = np.histogram(values, edges)
    return {
        "percentiles": {str(p): q for p, q in zip(PERCENTS, quantiles(values), strict=False)},
        "histogram": {"edges": edges.round(2).tolist(), "numbers": numbers.tolist()},
    }


ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass(frozen=True)
class Kind:
    """One sort of finding."""

    name: str
    # "error": training or evaluation goes wrong; "warning": a person should look; "info": good to
    # know.
    severity: str
    remedy: str  # what the user can do about it


_FIXED = "--fix does it in a copy"

KINDS = {
    kind.name: kind
    for kind in (
        # Files
        Kind("picture unreadable", ERROR, f"replace the file, or leave it out: {_FIXED}"),
        Kind("picture missing", ERROR, f"restore the file, or take it off the list: {_FIXED}"),
        Kind("annotation unreadable", ERROR, f"replace the file, or leave it out: {_FIXED}"),
        Kind("annotation missing", WARNING, f"annotate the photo, or leave it out: {_FIXED}"),
        Kind("file without partner", WARNING, "complete the pair and list it, or remove the file"),
        Kind("annotation not taken", WARNING, "look at the file; the reader left this out"),
        Kind("no boxes", INFO, "nothing where the skin is clear; else annotate the photo"),
        # Sizes
        Kind(
            "size differs",
            WARNING,
            f"give the photo that was annotated, or let its boxes be scaled: {_FIXED}",
        ),
        Kind("EXIF orientation", WARNING, f"store the picture upright: {_FIXED}"),
        # Boxes
        Kind("box not a number", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box inverted", ERROR, f"drop the box or swap its corners: {_FIXED}"),
        Kind("box without area", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box outside", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box partly outside", WARNING, f"clip the box: {_FIXED}"),
        Kind("box duplicated", WARNING, f"keep one of the two: {_FIXED}"),
        Kind("box nearly duplicated", WARNING, "look, and keep the better one of the two"),
        Kind("box with two names", WARNING, "decide which name is right"),
        Kind("very many boxes", WARNING, "check the annotation; near duplicates were not sought"),
        # Names and ids
        Kind("stray class", WARNING, "rename the object, or drop the class when importing"),
        Kind("annotation id 0", ERROR, f"number from 1: {_FIXED}"),
        Kind("annotation id duplicated", ERROR, f"number anew: {_FIXED}"),
        # Twins
        Kind("identical photos", WARNING, "keep one, or keep them in one part: acnet data split"),
        Kind("nearly identical photos", INFO, "keep them in one part: acnet data split"),
        Kind("photo in two parts", ERROR, f"take it out of the training part: {_FIXED}"),
        Kind("identical across parts", ERROR, f"take it out of the training part: {_FIXED}"),
        Kind("nearly identical across parts", WARNING, f"take it out of training: {_FIXED}"),
        Kind("twins labelled differently", WARNING, "decide which annotation is right"),
        # Grades and counts
        Kind("grade against count", WARNING, "correct the list; count lesions to grade"),
        Kind("prefix against grade", WARNING, "do not read the grade from the file's name"),
        Kind("count against boxes", WARNING, "correct the list, or annotate what is missing"),
        # The whole set
        Kind("anchors miss boxes", WARNING, "train with other anchor sizes, or a smaller stride"),
    )
}


@dataclass(frozen=True)
class Finding:
    """One fault at one place."""

    kind: str  # a name of `KINDS`
    # The photo, below the folder of the pictures, or another file's name; empty where the finding
    # is on the whole set.
    file_name: str
    detail: str = ""  # what exactly; an example where the number is larger than one
    number: int = 1  # how many boxes, objects or ids it is about
    others: tuple[str, ...] = ()  # further photos that the finding is about, sorted

    @property
    def severity(self) -> str:
        """One of "error", "warning" and "info"."""
        return KINDS[self.kind].severity

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "file": self.file_name,
            "others": list(self.others),
            "number": self.number,
            "detail": self.detail,
            "remedy": KINDS[self.kind].remedy,
        }


@dataclass(frozen=True)
class Report:
    """All findings on a data set, and what it holds."""

    findings: Sequence[Finding]  # in the order of `sort_findings`
    statistics: Statistics

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each kind that occurs, gravest kinds first."""
        return dict(collections.Counter(finding.kind for finding in self.findings))

    def has_errors(self) -> bool:
        """Say whether something must be corrected before the set is used."""
        return any(finding.severity == ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "counts": self.counts(),
            "statistics": self.statistics.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by severity, then in the order of `KINDS`, then by file and detail."""
    rank = sorted(KINDS, key=lambda name: SEVERITIES.index(KINDS[name].severity))
    return sorted(findings, key=lambda f: (rank.index(f.kind), f.file_name, f.others, f.detail))
