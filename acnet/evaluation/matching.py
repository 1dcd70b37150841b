"""The one match of detections with ground truth that every number is computed from.

Shape shorthand: P photos, K classes, G ground-truth boxes, D detections, T IoU thresholds,
A size ranges; N detections and M boxes of one photo.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from acnet.errors import UserError
from acnet.evaluation.columns import (
    COCO_RANGES,
    Detections,
    GroundTruth,
    SizeRange,
    lesion_ranges,
    place_in_group,
)
from acnet.evaluation.hit_rules import (
    CentreMatcher,
    GreedyMatcher,
    PackedMatches,
    box_iou,
    intersection_areas,
)

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
DEFAULT_RANGES = (*COCO_RANGES, *lesion_ranges())
DEFAULT_CAPS = (100, 1000)
MAX_THRESHOLDS = 64  # one bit each in the record of partners


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """What became of each detection; rows are those of `Detections`, in the same order."""

    ground_truth: GroundTruth
    detections: Detections
    iou_thresholds: tuple[float, ...]  # T rising
    size_ranges: tuple[SizeRange, ...]  # A; the first is that of all sizes
    caps: tuple[int, ...]  # rising numbers of detections a photo and class that may count
    # (D,) int32 place by score within its photo and class, from 0. The match at cap 1000 restricted
    # to `rank < 100` is the match at cap 100. From the last cap on, nothing is matched and all is
    # ignored.
    rank: np.ndarray
    best_iou: np.ndarray  # (D,) float64 largest IoU with a box of its class that is no crowd; or 0
    best_gt: np.ndarray  # (D,) int32 the first such box, an index into the ground truth; or -1
    best_iou_other: np.ndarray  # (D,) float64 likewise with a box of another class
    best_gt_other: np.ndarray  # (D,) int32
    centre_gt: np.ndarray  # (D,) int32 the lesion that it hits by the centre rule; or -1
    centre_near: np.ndarray  # (D,) bool, its centre is on some lesion of its class, hit or not
    num_gt: np.ndarray  # (P, K, A) int32 boxes that count, of each photo, class and size range
    packed: PackedMatches  # what `matched`, `ignored` and `matched_gt` read

    def matched(self, *, iou: float = 0.5, suffix: str = "") -> np.ndarray:
        """Tell which detections are matched with a box, be it one that counts or not, (D,) bool."""
        matched = np.zeros(len(self.detections), dtype=bool)
        matched[self.packed.candidates] = self.packed.are_matched(self.bit(iou, suffix))
        return matched

    def ignored(self, *, iou: float = 0.5, suffix: str = "") -> np.ndarray:
        """Tell which detections neither count nor punish, (D,) bool.

        They are matched with a box that does not count, unmatched and of another size, or beyond
        the last cap. A true positive is matched and not ignored, a false one neither.
        """
        bit = self.bit(iou, suffix)
        ignored = self.outside(suffix)
        ignored[self.packed.candidates] &= ~self.packed.are_matched(bit)
        ignored[self.packed.candidates] |= self.packed.are_ignored(bit)
        return ignored | (self.rank >= self.caps[-1])

    def matched_gt(self, *, iou: float = 0.5) -> np.ndarray:
        """Return each detection's partner of any size, (D,) int32 in the ground truth; -1: none."""
        threshold = np.uint64(self.threshold_index(iou))
        chosen = (self.packed.pair_thresholds >> threshold & np.uint64(1)).astype(bool)
        partners = np.full(len(self.detections), -1, dtype=np.int32)
        partners[self.packed.pair_detections[chosen]] = self.packed.pair_gt[chosen]
        return partners

    def outside(self, suffix: str) -> np.ndarray:
        """Tell which detections have a size outside of a range, (D,) bool."""
        size_range = self.size_ranges[self.range_index(suffix)]
        boxes = self.detections.boxes_xywh
        return size_range.excludes(boxes[:, 2] * boxes[:, 3])

    def threshold_index(self, iou: float) -> int:
        """Return the index of an IoU threshold, which must be one of the match's to nine digits."""
        for index, threshold in enumerate(self.iou_thresholds):
            if math.isclose(threshold, iou, abs_tol=1e-9):
                return index
        raise ValueError(
            "A threshold must be one of those that were matched at, since a match is made for each."
            f" Received {iou}, matched at {self.iou_thresholds}; add it to match(iou_thresholds=)."
        )

    def range_index(self, suffix: str) -> int:
        """Return the index of a size range, which must be one of the match's."""
        suffixes = [size_range.suffix for size_range in self.size_ranges]
        if suffix in suffixes:
            return suffixes.index(suffix)
        raise ValueError(
            "A size range must be one of those that were matched in, since a match is made for "
            f"each. Received {suffix!r}, matched in {suffixes}; add it to match(size_ranges=)."
        )

    def check_cap(self, cap: int) -> None:
        """Refuse a cap that is not one of the match's."""
        if cap not in self.caps:
            raise ValueError(
                "A cap must be one of those that were matched with, so that all numbers of a run "
                f"have the same. Received {cap}, matched with {self.caps}; add it to "
                "match(max_detections=)."
            )

    def bit(self, iou: float, suffix: str) -> int:
        """Return the place in `packed` of a threshold in a size range."""
        return self.range_index(suffix) * len(self.iou_thresholds) + self.threshold_index(iou)


def match(
    ground_truth: GroundTruth,
    detections: Detections,
    *,
    iou_thresholds: Sequence[float] = COCO_IOUS,
    size_ranges: Sequence[SizeRange] = DEFAULT_RANGES,
    max_detections: Sequence[int] = DEFAULT_CAPS,
    centre_radius_px: float | None = None,
) -> Matches:
    """Match detections with ground truth, photo by photo, by COCO's rule and by the centre rule.

    COCO's rule: detections choose by falling score, each the free box of its class and photo with
    the largest IoU, a box that counts before one that does not. It is pycocotools' to the bit.

    Args:
        ground_truth, detections: Of the same photos.
        iou_thresholds: Rising, in (0, 1], at most 64.
        size_ranges: The first has to be that of all sizes.
        max_detections: Caps: detections of each photo and class that count, best scores first.
        centre_radius_px: By the centre rule a detection hits a lesion when their centres are at
            most this far apart; None: when its centre is inside the lesion's box.

    Raises:
        UserError: A photo holds more lesions of a class than the largest cap.
        ValueError: An option is not as above.
    """
    iou_thresholds, caps = tuple(iou_thresholds), tuple(sorted(max_detections))
    _check_options(iou_thresholds, size_ranges, caps)
    check_room(ground_truth, caps[-1])
    not_counting = np.stack([r.excludes(ground_truth.areas) for r in size_ranges], axis=1)
    not_counting |= ground_truth.crowd[:, None]
    rank = place_in_group(_photo_and_class(detections, ground_truth.num_classes))
    greedy = GreedyMatcher(iou_thresholds, not_counting, ground_truth.crowd)
    centre = CentreMatcher(len(detections), len(ground_truth), centre_radius_px)
    best, best_other = _Best(len(detections)), _Best(len(detections))
    for photo in _photos(ground_truth, detections):
        counted = photo.same_class & (rank[photo.rows] < caps[-1])[:, None]
        rows, boxes = np.nonzero(counted & (photo.crowd_iou >= greedy.smallest_iou))
        ious = photo.crowd_iou[rows, boxes]
        greedy.add(photo.rows.start + rows, photo.boxes.start + boxes, ious)
        lesions = ~ground_truth.crowd[photo.boxes]
        centre.add(photo.rows, photo.boxes, detections, ground_truth, counted & lesions)
        best.add(photo, photo.same_class & lesions)
        if ground_truth.num_classes > 1:
            best_other.add(photo, ~photo.same_class & lesions)
    return Matches(
        ground_truth=ground_truth,
        detections=detections,
        iou_thresholds=iou_thresholds,
        size_ranges=tuple(size_ranges),
        caps=caps,
        rank=rank,
        best_iou=best.iou,
        best_gt=best.gt,
        best_iou_other=best_other.iou,
        best_gt_other=best_other.gt,
        centre_gt=centre.gt,
        centre_near=centre.near,
        num_gt=_count_gt(ground_truth, not_counting),
        packed=greedy.packed(),
    )


def check_room(ground_truth: GroundTruth, cap: int) -> None:
    """Refuse a cap below which some photo's lesions of a class could not all be found."""
    num_classes = ground_truth.num_classes
    group = _photo_and_class(ground_truth, num_classes)
    counts = np.bincount(group[~ground_truth.crowd], minlength=1)
    fullest = int(counts.argmax())
    if counts[fullest] > cap:
        photo, class_index = divmod(fullest, num_classes)
        raise UserError(
            "The largest cap of detections must not be below the number of lesions of a class in "
            "a photo, since recall could not reach 1 then. Received a cap of "
            f"{cap} and {counts[fullest]} lesions of {ground_truth.class_names[class_index]!r} in "
            f"{ground_truth.file_names[photo]}; raise --max-detections (max_detections, or an "
            f"evaluator's max_dets_per_image) to {counts[fullest]} or more."
        )


@dataclass(frozen=True)
class _Photo:
    """A photo that has N detections and M boxes."""

    rows: slice  # N rows of the detections
    boxes: slice  # M rows of the ground truth
    same_class: np.ndarray  # (N, M) bool
    iou: np.ndarray  # (N, M)
    crowd_iou: np.ndarray  # (N, M) by the detection's area alone where the box is a crowd


def _photos(ground_truth: GroundTruth, detections: Detections) -> Iterator[_Photo]:
    edges = np.arange(ground_truth.num_photos + 1)
    row_edges = np.searchsorted(detections.photo, edges).tolist()
    box_edges = np.searchsorted(ground_truth.photo, edges).tolist()
    for rows, boxes in zip(pairwise(row_edges), pairwise(box_edges), strict=True):
        rows, boxes = slice(*rows), slice(*boxes)
        if rows.start == rows.stop or boxes.start == boxes.stop:
            continue
        found, true = detections.boxes_xywh[rows], ground_truth.boxes_xywh[boxes]
        common = intersection_areas(found, true)
        areas = found[:, 2] * found[:, 3], true[:, 2] * true[:, 3]
        iou = box_iou(common, *areas)
        crowd = ground_truth.crowd[boxes]
        yield _Photo(
            rows=rows,
            boxes=boxes,
            same_class=detections.classes[rows, None] == ground_truth.classes[None, boxes],
            iou=iou,
            crowd_iou=box_iou(common, *areas, crowd=crowd) if crowd.any() else iou,
        )


class _Best:
    """The best box of each detection, matched or not."""

    def __init__(self, num_detections: int):
        self.iou = np.zeros(num_detections)
        self.gt = np.full(num_detections, -1, dtype=np.int32)

    def add(self, photo: _Photo, allowed: np.ndarray) -> None:
        """Find the best of the (N, M) allowed boxes for the N detections of a photo."""
        iou = np.where(allowed, photo.iou, 0)
        index = iou.argmax(axis=1)  # the first of equal ones, as VOC does
        best = np.take_along_axis(iou, index[:, None], axis=1)[:, 0]
        self.iou[photo.rows] = best
        self.gt[photo.rows] = np.where(best > 0, photo.boxes.start + index, -1)


def _count_gt(ground_truth: GroundTruth, not_counting: np.ndarray) -> np.ndarray:
    """Return the number of boxes that count, (P, K, A) int32."""
    num_photos, num_classes = ground_truth.num_photos, ground_truth.num_classes
    group = _photo_and_class(ground_truth, num_classes)
    counts = [
        np.bincount(group[~excluded], minlength=num_photos * num_classes)
        for excluded in not_counting.T
    ]
    return np.stack(counts, axis=1).astype(np.int32).reshape(num_photos, num_classes, -1)


def _photo_and_class(columns: GroundTruth | Detections, num_classes: int) -> np.ndarray:
    """Number the group of each row, photo by photo and class by class, (N,) int64."""
    return columns.photo.astype(np.int64) * num_classes + columns.classes


def _check_options(
    iou_thresholds: tuple[float, ...], size_ranges: Sequence[SizeRange], caps: tuple[int, ...]
) -> None:
    rising = all(low < high for low, high in pairwise((0.0, *iou_thresholds)))
    if not rising or not 0 < len(iou_thresholds) <= MAX_THRESHOLDS or iou_thresholds[-1] > 1:
        raise ValueError(
            "IoU thresholds must rise within (0, 1], since boxes that do not overlap are no "
            f"match, and be 1 to {MAX_THRESHOLDS}. Received {iou_thresholds}; sort them, and drop "
            "those that are repeated or out of range."
        )
    if not caps or caps[0] < 1:
        raise ValueError(
            "A cap is the number of detections of a photo and class that count, at least 1. "
            f"Received {caps}; give positive integers."
        )
    if not size_ranges or size_ranges[0].suffix != "":
        raise ValueError(
            "The first size range must be that of all sizes, with the suffix '', since FROC and "
            f"the error parts refer to it. Received {size_ranges}; put COCO_RANGES[0] first."
        )
