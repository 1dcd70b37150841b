"""One list of detections for a photo, from those of its overlapping tiles.

What a tile's own head has thinned out by Soft-NMS is thinned out: boxes of one tile leave each
other alone here, unless `within_tiles` is set. What remains to be done is between tiles, which see
a lesion twice where they overlap, or a part of it at their edges.
"""

from dataclasses import dataclass

import numpy as np

from acnet.tiling.cluster import cluster
from acnet.tiling.coverage import cut_and_seen_elsewhere
from acnet.tiling.decay import gaussian_decay, hard_decay, linear_decay, pick_and_decay
from acnet.tiling.detections import TileDetections
from acnet.tiling.neighbours import find_neighbours

METHODS = ("cluster", "nms", "soft_nms-gaussian", "soft_nms-linear")


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """How the detections of a photo's tiles become one list.

    The defaults are the best of the study in docs/lab/merge_study.md.

    Args:
        method: "cluster" averages the views that tiles have of a lesion, and lowers the score where
            a tile missed it; "nms" keeps the best view; "soft_nms-linear" and "soft_nms-gaussian"
            keep all, with the scores of the others lowered by how much they overlap a better one.
        iou_threshold: overlap above which two boxes are views of one lesion, 0 to 1; the Gaussian
            decay has none.
        sigma: width of the Gaussian decay, above 0.
        drop_cut: drop boxes that an inner edge of their tile may have cut, where another tile sees
            their place whole.
        margin_px: boxes closer to an inner edge than this may have been cut, at least 0.
        within_tiles: let boxes of the same tile compete as well, a second time after its own head.
        score_floor: detections below it are dropped, before merging and after.
        max_detections: best detections that a photo keeps; None for all.

    Raises:
        ValueError: a value is out of range.
    """

    # NOT IN PAPER: all of it; the paper evaluates tiles.
    method: str = "nms"
    iou_threshold: float = 0.5
    sigma: float = 0.5
    drop_cut: bool = True
    margin_px: float = 8.0
    within_tiles: bool = False
    score_floor: float = 1e-3
    max_detections: int | None = 1000

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"Detections of tiles are merged by one of {', '.join(METHODS)}. "
                f"Received method={self.method!r}; choose one of these."
            )
        limit = 1 if self.max_detections is None else self.max_detections
        for name, valid, rule in (
            ("iou_threshold", 0 <= self.iou_threshold <= 1, "from 0 to 1"),
            ("sigma", self.sigma > 0, "above 0"),
            ("margin_px", self.margin_px >= 0, "at least 0"),
            ("score_floor", 0 < self.score_floor < 1, "above 0 and below 1"),
            ("max_detections", limit >= 1, "at least 1, or None"),
        ):
            if not valid:
                raise ValueError(f"{name} must be {rule}. Received {getattr(self, name)}.")

    @property
    def needs_every_view(self) -> bool:
        """Whether all that the tiles see of a lesion matters, and not the best view alone."""
        return self.method == "cluster"


def merge_tiles(
    detections: TileDetections,
    tiles_xyxy: np.ndarray,
    image_hw: tuple[int, int],
    options: MergeOptions,
) -> TileDetections:
    """Merges what the tiles of a photo found.

    The result does not depend on the order of the tiles.

    Args:
        detections: N, of all tiles, in the photo's pixels and any order.
        tiles_xyxy: (T, 4), the tiles, a grid: each of its rows has each of its columns.
        image_hw: height and width of the photo.
        options: how.

    Returns:
        The photo's detections, best first; equal scores in the order of top, left, bottom, right.
        `tiles` says which tile saw each best.
    """
    if options.drop_cut:
        detections = detections.take(
            ~cut_and_seen_elsewhere(detections, tiles_xyxy, image_hw, options.margin_px)
        )
    detections = detections.take(detections.scores >= options.score_floor).best_first()
    if options.method == "cluster":
        merged = cluster(
            detections,
            tiles_xyxy,
            image_hw,
            iou_threshold=options.iou_threshold,
            margin_px=options.margin_px,
        )
        merged = merged.take(merged.scores >= options.score_floor)
    else:
        merged = _suppress(detections, options)
    return merged.best_first().take(slice(options.max_detections))


def _suppress(detections: TileDetections, options: MergeOptions) -> TileDetections:
    """NMS or Soft-NMS."""
    gaussian = options.method == "soft_nms-gaussian"
    neighbours = find_neighbours(
        detections.boxes_xyxy,
        detections.classes,
        above_iou=0.0 if gaussian else options.iou_threshold,
        tiles=None if options.within_tiles else detections.tiles,
    )
    if gaussian:
        factors = gaussian_decay(neighbours.ious, options.sigma)
    else:
        decay = hard_decay if options.method == "nms" else linear_decay
        factors = decay(neighbours.ious)
    picks, scores = pick_and_decay(
        detections.scores, neighbours, factors, score_floor=options.score_floor
    )
    picked = detections.take(picks)
    return TileDetections(
        boxes_xyxy=picked.boxes_xyxy, scores=scores, classes=picked.classes, tiles=picked.tiles
    )
