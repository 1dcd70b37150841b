"""Sizes, counts and shares of a data set, and how well anchors fit its boxes.

A box that no anchor overlaps by half is hard to propose. Shape shorthand: N boxes, A anchors.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acnet.data.clean import clean_boxes
from acnet.data.records import Annotated
from acnet.evaluation.counting import hayashi_grade

GOOD_IOU = 0.5


@dataclass(frozen=True)
class AnchorSet:
    """Anchors as detectron2's `DefaultAnchorGenerator` places them. The default is the paper's.

    Args:
        sizes_px: square roots of the areas.
        ratios: heights over widths.
        stride_px: distance of the grid points that all of them are centred on.
    """

    sizes_px: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    stride_px: int = 8

    def sides_wh(self) -> np.ndarray:
        """Return (A, 2) widths and heights in pixels."""
        sizes, ratios = np.meshgrid(self.sizes_px, np.sqrt(self.ratios), indexing="ij")
        return np.stack([(sizes / ratios).ravel(), (sizes * ratios).ravel()], axis=1)


def best_anchor_iou(
    boxes_xyxy: np.ndarray, image_hw: tuple[int, int], anchors: AnchorSet
) -> np.ndarray:
    """Find each box's best overlap with any anchor at any place, exactly and without the places.

    The overlap of two intervals never grows as their centres part, so along either axis the grid
    point nearest to the box's centre is the best for every anchor, whatever happens along the other
    axis: only A anchors a box have to be tried.

    Args:
        boxes_xyxy: (N, 4) with areas, in a picture that is not resized.
        image_hw: its height and width in pixels; the grid begins at its left and top edge and ends
            before its right and bottom edge. Anchors may leave the picture, as in training.
        anchors: to try.

    Returns:
        (N,) IoU from 0 to 1.
    """
    stride = anchors.stride_px
    last_point = (np.array(image_hw[::-1]) - 1) // stride
    centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    points = np.clip(np.round(centers / stride), 0, last_point) * stride
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    anchor_sides = anchors.sides_wh()
    # (N, A, 2): how much of either side an anchor at the nearest point covers
    reach = (sides[:, None] + anchor_sides) / 2 - np.abs(centers - points)[:, None]
    covered = np.clip(np.minimum(np.minimum(sides[:, None], anchor_sides), reach), 0.0, None)
    shared = covered.prod(axis=2)
    union = sides.prod(axis=1)[:, None] + anchor_sides.prod(axis=1) - shared
    return (shared / union).max(axis=1, initial=0.0)


def good_share(best_iou: np.ndarray) -> float | None:
    """Return the share of boxes that some anchor overlaps by at least half; None without boxes."""
    return float((best_iou >= GOOD_IOU).mean()) if len(best_iou) else None


PERCENTS = (5, 50, 95)


@dataclass(frozen=True, kw_only=True)
class SplitSize:
    """How much a split holds.

    Args:
        photos: listed in it.
        boxes: on them, as annotated.
    """

    photos: int
    boxes: int


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What a set holds; photos that cannot be read count as listed and have no boxes.

    Args:
        photos: listed in any split.
        read: of those, with a readable picture and annotation.
        boxes: as annotated.
        names: number of objects by name, most frequent first.
        splits: by name.
        photos_by_grade: listed grades, or Hayashi's of the number of boxes where none is listed.
        sizes_px: (N,) square roots of the areas of the usable boxes, clipped to their picture.
        counts: (M,) boxes of each read photo.
        anchors: that the shares are about.
        anchor_share: of the usable boxes, that an anchor overlaps by at least half; None if no box.
    """

    photos: int
    read: int
    boxes: int
    names: Mapping[str, int]
    splits: Mapping[str, SplitSize]
    photos_by_grade: Mapping[int, int]
    sizes_px: np.ndarray
    counts: np.ndarray
    anchors: AnchorSet
    anchor_share: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON, histograms instead of the single values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["splits"] = {name: dataclasses.asdict(s) for name, s in self.splits.items()}
        values["anchors"] = dataclasses.asdict(self.anchors)
        values["photos_by_grade"] = {str(k): v for k, v in self.photos_by_grade.items()}
        values["sizes_px"] = _summary(self.sizes_px, size_edges(self.sizes_px))
        values["counts"] = _summary(self.counts, count_edges(self.counts))
        return values


def describe(
    photos: Sequence[Annotated],
    splits: Mapping[str, Sequence[str]],
    anchors: AnchorSet,
) -> Statistics:
    """Count.

    Args:
        photos: those that could be read.
        splits: file names by split.
        anchors: to compare the boxes with.

    Returns:
        The numbers.
    """
    usable = [(clean_boxes(p.boxes_xyxy, p.image_hw, "")[0], p.image_hw) for p in photos]
    usable = [(boxes, image_hw) for boxes, image_hw in usable if len(boxes)]
    stacked = np.concatenate([np.zeros((0, 4)), *(boxes for boxes, _ in usable)])
    best = [best_anchor_iou(boxes, image_hw, anchors) for boxes, image_hw in usable]
    share = good_share(np.concatenate(best)) if best else None
    names = collections.Counter(name for photo in photos for name in photo.names)
    boxes_of = {photo.file_name: len(photo.boxes_xyxy) for photo in photos}
    return Statistics(
        photos=len({name for members in splits.values() for name in members}),
        read=len(photos),
        boxes=sum(boxes_of.values()),
        names=dict(sorted(names.items(), key=_by_frequency)),
        splits={
            split: SplitSize(
                photos=len(members), boxes=sum(boxes_of.get(name, 0) for name in members)
            )
            for split, members in sorted(splits.items())
        },
        photos_by_grade=dict(sorted(collections.Counter(map(grade_of, photos)).items())),
        sizes_px=np.sqrt((stacked[:, 2:] - stacked[:, :2]).prod(axis=1)),
        counts=np.array([len(photo.boxes_xyxy) for photo in photos], dtype=np.int64),
        anchors=anchors,
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


def _by_frequency(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
