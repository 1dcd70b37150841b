"""Ground truth and detections as columns: one array a property, one row a box.

Every number of this package is computed from these two, whether they come from COCO files
(`coco_files`) or from a model (`evaluator`). Boxes are kept as COCO writes them, since the width
of a box is exact there and its right edge is a rounded sum; `boxes_xyxy` is derived as COCO does.

Shape shorthand: P photos, K classes, G ground-truth boxes, D detections.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


def xywh_to_xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    """Convert (N, 4) boxes from COCO's left, top, width, height to corners."""
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Convert (N, 4) boxes from corners to COCO's left, top, width, height."""
    return np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class GroundTruth:
    """Photos, classes and annotated boxes; the boxes are sorted by photo."""

    image_ids: np.ndarray  # (P,) int64, rising; the ids that predictions refer to
    file_names: tuple[str, ...]  # P
    image_hw: np.ndarray  # (P, 2) int64 height and width in pixels
    category_ids: np.ndarray  # (K,) int64, rising
    class_names: tuple[str, ...]  # K
    photo: np.ndarray  # (G,) int32, rising; each box's index into the photos
    classes: np.ndarray  # (G,) int32 index into the classes
    boxes_xywh: np.ndarray  # (G, 4) float64 left, top, width, height in pixels
    areas: np.ndarray  # (G,) float64 in px², as annotated, which COCO's size ranges refer to
    # (G,) bool, COCO's `iscrowd`: a region of many, which neither counts nor punishes.
    crowd: np.ndarray
    difficult: np.ndarray  # (G,) bool, VOC's flag, which only VOC's numbers respect
    # Ids of categories that have the name of another, by which they are known.
    other_ids: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.photo)

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """(G, 4) left, top, right, bottom in pixels."""
        return xywh_to_xyxy(self.boxes_xywh)

    @property
    def num_photos(self) -> int:
        """P."""
        return len(self.image_ids)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.category_ids)

    def counts(self) -> np.ndarray:
        """Count the lesions of each photo, (P,), without crowds, which hide an unknown number."""
        return np.bincount(self.photo[~self.crowd], minlength=self.num_photos)


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Detected boxes, sorted by photo, then by falling score, ties in the order they came in.

    `sort_detections` makes one from unsorted columns.
    """

    photo: np.ndarray  # (D,) int32 index into the photos of the ground truth
    classes: np.ndarray  # (D,) int32 index into its classes
    boxes_xywh: np.ndarray  # (D, 4) float64 left, top, width, height in pixels
    scores: np.ndarray  # (D,) float64, finite

    def __len__(self) -> int:
        return len(self.photo)

    @property
    def boxes_xyxy(self) -> np.ndarray:
        """(D, 4) left, top, right, bottom in pixels."""
        return xywh_to_xyxy(self.boxes_xywh)

    def counts(self, num_photos: int, *, score_threshold: float = 0.0) -> np.ndarray:
        """Count the detections of each photo, (P,), all classes together."""
        return np.bincount(self.photo[self.scores >= score_threshold], minlength=num_photos)


def sort_detections(
    *, photo: np.ndarray, classes: np.ndarray, boxes_xywh: np.ndarray, scores: np.ndarray
) -> Detections:
    """Sort D rows as `Detections` asks."""
    order = np.lexsort((-np.asarray(scores, dtype=np.float64), photo))  # stable
    return Detections(
        photo=np.asarray(photo, dtype=np.int32)[order],
        classes=np.asarray(classes, dtype=np.int32)[order],
        boxes_xywh=np.asarray(boxes_xywh, dtype=np.float64).reshape(-1, 4)[order],
        scores=np.asarray(scores, dtype=np.float64)[order],
    )


def place_in_group(group: np.ndarray) -> np.ndarray:
    """Count, for each of (N,) rows, the rows of the same group that come before it."""
    order = np.argsort(group, kind="stable")
    first_of_group = np.searchsorted(group[order], group[order])
    places = np.empty(len(group), dtype=np.int32)
    places[order] = np.arange(len(group)) - first_of_group
    return places


@dataclass(frozen=True)
class SizeRange:
    """A range of lesion sizes, by area and with both ends in it, as COCO's ranges are."""

    suffix: str  # what keys say of it: "" for all sizes, "s" for COCO's small, "[0-16px]"
    low: float  # smallest area in px²
    high: float  # largest area

    def excludes(self, areas: np.ndarray) -> np.ndarray:
        """Tell which (N,) areas in px² are outside."""
        return (areas < self.low) | (areas > self.high)


COCO_RANGES = (
    SizeRange("", 0.0, 1e10),
    SizeRange("s", 0.0, 32.0**2),
    SizeRange("m", 32.0**2, 96.0**2),
    SizeRange("l", 96.0**2, 1e10),
)
LESION_EDGES_PX = (16, 32, 64, 128)


def lesion_ranges(edges_px: Sequence[int] = LESION_EDGES_PX) -> tuple[SizeRange, ...]:
    """Make size ranges from rising lengths in pixels, so that each lesion is in exactly one.

    A lesion's length is the square root of its area; one on an edge belongs to the larger ones. The
    ranges are one more than edges, such as "[0-16px]", "[16-32px]", "[32px-]".
    """
    edges = [0, *edges_px]
    if any(low >= high for low, high in itertools.pairwise(edges)):
        raise ValueError(
            "Edges of size bins must be positive and rise, since each lesion is in one bin. "
            f"Received {tuple(edges_px)}; sort them and drop repeated ones."
        )
    bins = [
        SizeRange(f"[{low}-{high}px]", low**2, float(np.nextafter(high**2, 0)))
        for low, high in itertools.pairwise(edges)
    ]
    return (*bins, SizeRange(f"[{edges[-1]}px-]", edges[-1] ** 2, 1e10))
