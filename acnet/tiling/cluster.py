"""Weighted box clustering: the views that several tiles have of one lesion become one box.

Shape shorthand in this module:
    N: number of detections
    K: number of clusters
"""

import numpy as np

from acnet.tiling.coverage import count_views, seen_whole
from acnet.tiling.detections import TileDetections
from acnet.tiling.neighbours import find_neighbours


def cluster(
    detections: TileDetections,
    tiles_xyxy: np.ndarray,
    image_hw: tuple[int, int],
    *,
    iou_threshold: float,
    margin_px: float,
) -> TileDetections:
    """Averages the views of each place; a place that some of its tiles missed loses confidence.

    The best detection that is left leads a cluster. From each other tile it takes the one that
    overlaps it most, of its class and by more than `iou_threshold`. With members i of scores s_i,
    corners c_i and weights w_i = IoU with the leader (1 for itself), the cluster has

        score   = sum(w_i s_i) / (sum(w_i) + missed * mean(w_i))
        corners = sum(w_i s_i c_i) / sum(w_i s_i)

    where `missed` is the number of tiles that see the leader's box whole (see
    `acnet.tiling.coverage`) and have no member.

    Args:
        detections: N, best first (see `TileDetections.best_first`).
        tiles_xyxy: (T, 4), all tiles of a grid.
        image_hw: height and width of the photo.
        iou_threshold: least overlap with the leader, from 0.
        margin_px: distance from inner edges at which a tile sees a box whole.

    Returns:
        K clusters with their leaders' classes and tiles, in the order of their leaders.

    Reference: Jaeger et al., Retina U-Net (arXiv:1811.08661), "weighted box clustering", there for
    the patches of a scan; Solovyev et al., Weighted Boxes Fusion (arXiv:1910.13302), for the loss
    of confidence.
    """
    # NOT IN PAPER: everything here. Retina U-Net also weighs by area and by the distance from the
    # patch's centre, which change nothing where cut boxes are dropped, and puts every overlapping
    # box into the cluster. Here a tile has one view of a lesion: that two boxes of a tile are two
    # lesions, or with what score the second may be one, its own Soft-NMS has decided.
    starts, members, weights = _group(detections, iou_threshold)
    leaders, sizes = members[starts], np.diff([*starts, len(members)])
    led = detections.take(leaders)
    leader_boxes = np.repeat(led.boxes_xyxy, sizes, axis=0)
    own_tiles = tiles_xyxy[detections.tiles[members]]
    voted = _sum(seen_whole(leader_boxes, own_tiles, image_hw, margin_px), starts)
    missed = count_views(led.boxes_xyxy, tiles_xyxy, image_hw, margin_px) - voted
    total_weight = _sum(weights, starts)
    weighted_scores = weights * detections.scores[members]
    total_score = _sum(weighted_scores, starts)
    corners = weighted_scores[:, None] * detections.boxes_xyxy[members]
    return TileDetections(
        boxes_xyxy=(_sum(corners, starts) / total_score[:, None]).astype(np.float32),
        scores=(total_score / (total_weight * (1 + missed / sizes))).astype(np.float32),
        classes=led.classes,
        tiles=led.tiles,
    )


def _group(
    detections: TileDetections, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divides detections into clusters.

    Returns:
        (K,) where each cluster begins in the (N,) members, each with its leader first, and the (N,)
        weights of the members in float64.
    """
    neighbours = find_neighbours(
        detections.boxes_xyxy,
        detections.classes,
        above_iou=iou_threshold,
        tiles=detections.tiles,
    )
    free = np.ones(len(detections), bool)
    starts, members, weights = [], [], []
    for leader in range(len(detections)):
        if not free[leader]:
            continue
        row = slice(neighbours.starts[leader], neighbours.starts[leader + 1])
        others, ious = neighbours.others[row], neighbours.ious[row]
        chosen = _best_of_each_tile(free[others], ious, detections.tiles[others])
        starts.append(len(members))
        members += [leader, *others[chosen].tolist()]
        weights += [1.0, *ious[chosen].tolist()]
        free[leader] = free[others[chosen]] = False
    return np.array(starts, np.int64), np.array(members, np.int64), np.array(weights, np.float64)


def _best_of_each_tile(free: np.ndarray, ious: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Rising indices of the free box with the largest overlap in each tile, the first of equals."""
    candidates = np.flatnonzero(free)
    falling = candidates[np.argsort(-ious[candidates], kind="stable")]
    _, first = np.unique(tiles[falling], return_index=True)
    return np.sort(falling[first])


def _sum(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums over the members of each cluster."""
    values = values.astype(np.float64)
    return np.add.reduceat(values, starts, axis=0) if len(starts) else values
