"""True positives by falling score, sorted once and then weighted by photos as often as needed.

Precision has its peaks at true positives, so a curve needs only these, each with the number of
detections up to it. That number is a cumulative sum shared by all IoU thresholds, plus a few
corrections: detections of other sizes that are matched all the same, and those on crowds.

Shape shorthand: P photos, n detections of a class within the cap, c of them whose counting depends
on the threshold, m true positives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.matches import Matches


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """True positives at one IoU threshold, by falling score."""

    rows: np.ndarray  # (m,) of the detections
    photos: np.ndarray  # (m,)
    places: np.ndarray  # (m,) how many of the shared detections come up to each, itself included
    correction_photos: np.ndarray  # of the detections that the shared ones lack or have too many
    correction_signs: np.ndarray  # 1 for one too few, -1 for one too many
    correction_places: np.ndarray  # (m,) how many corrections come up to each true positive


@dataclass(frozen=True, kw_only=True, eq=False)
class RankedHits:
    """One class in one size range below one cap."""

    num_gt: np.ndarray  # (P,) boxes that count
    shared_photos: np.ndarray  # of the detections that count at every threshold, by falling score
    hits: tuple[Hits, ...]  # one for each threshold

    def curves(self, photo_weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (m,) recall, rising, and (m,) precision at the true positives of each threshold.

        Some box has to count with the (P,) weights.
        """
        num_gt = photo_weights @ self.num_gt
        shared = _sum_up(photo_weights[self.shared_photos])
        for hits in self.hits:
            true_positives = np.cumsum(photo_weights[hits.photos])
            found = shared[hits.places]
            if len(hits.correction_signs):
                weighted = hits.correction_signs * photo_weights[hits.correction_photos]
                found = found + _sum_up(weighted)[hits.correction_places]
            yield true_positives / num_gt, true_positives / np.maximum(found, 1)


def rank_hits(
    matches: Matches,
    *,
    class_index: int,
    cap: int,
    suffixes: Sequence[str],
    ious: Sequence[float],
) -> dict[str, RankedHits]:
    """Sort the true positives of one class by COCO's rules, for each size range wanted."""
    rows = sorted_rows(matches, class_index)
    rows = rows[matches.rank[rows] < cap]
    packed = matches.packed
    is_candidate = np.zeros(len(matches.detections), dtype=bool)
    is_candidate[packed.candidates] = True
    positions = np.flatnonzero(is_candidate[rows])
    candidates = np.searchsorted(packed.candidates, rows[positions])
    ranked = {}
    for suffix in suffixes:
        ranking = _Ranking(matches, rows, positions, shared=~matches.outside(suffix)[rows])
        for iou in ious:
            bit = matches.bit(iou, suffix)
            matched = packed.are_matched(bit)[candidates]
            ignored = packed.are_ignored(bit)[candidates]
            unmatched = ~matched & ranking.shared[positions]
            ranking.add(right=matched & ~ignored, wrong=unmatched)
        ranked[suffix] = ranking.finish(matches.num_gt[:, class_index, matches.range_index(suffix)])
    return ranked


def rank_voc_hits(matches: Matches, *, class_index: int, ious: Sequence[float]) -> RankedHits:
    """Sort one class by VOC's rules, which know no cap.

    A detection looks only at the box that it overlaps most. Above the threshold it is right when it
    is the first there, wrong when it is not, and neither on a difficult box. Crowds, which VOC does
    not have, are no boxes here.
    The overlap must be larger than the threshold.
    """
    ground_truth = matches.ground_truth
    rows = sorted_rows(matches, class_index)
    positions = np.flatnonzero(matches.best_iou[rows] > min(ious))
    boxes, overlaps = matches.best_gt[rows[positions]], matches.best_iou[rows[positions]]
    ranking = _Ranking(matches, rows, positions, shared=np.ones(len(rows), dtype=bool))
    for iou in ious:
        over = overlaps > iou
        counted = np.flatnonzero(over & ~ground_truth.difficult[boxes])
        right = np.zeros(len(positions), dtype=bool)
        right[counted[np.unique(boxes[counted], return_index=True)[1]]] = True
        wrong = ~over
        wrong[counted] = ~right[counted]
        ranking.add(right=right, wrong=wrong)
    counts = ~ground_truth.difficult & ~ground_truth.crowd & (ground_truth.classes == class_index)
    return ranking.finish(
        np.bincount(ground_truth.photo[counts], minlength=ground_truth.num_photos)
    )


def sorted_rows(matches: Matches, class_index: int) -> np.ndarray:
    """Return the rows of a class by falling score, ties by photo as in pycocotools."""
    rows = _int32(np.flatnonzero(matches.detections.classes == class_index))
    return rows[np.argsort(-matches.detections.scores[rows], kind="stable")]


class _Ranking:
    """Collects the true positives of sorted detections, threshold by threshold.

    Args:
        matches: Of all photos.
        rows: (n,) the detections, by falling score.
        positions: (c,) those of `rows` of which the thresholds decide; the others are wrong where
            they are shared, and do not count elsewhere.
        shared: (n,) bool, counted at every threshold if nothing else is said.
    """

    def __init__(
        self, matches: Matches, rows: np.ndarray, positions: np.ndarray, *, shared: np.ndarray
    ):
        self.shared = shared
        self._rows, self._positions = rows, positions
        self._photos = matches.detections.photo[rows]
        self._num_shared = np.cumsum(shared, dtype=np.int32)
        self._hits: list[Hits] = []

    def add(self, *, right: np.ndarray, wrong: np.ndarray) -> None:
        """Add a threshold, given (c,) which of the positions are right and which are wrong."""
        places = self._positions[right]
        counted = right | wrong
        corrected = counted != self.shared[self._positions]
        corrections = self._positions[corrected]
        self._hits.append(
            Hits(
                rows=self._rows[places],
                photos=self._photos[places],
                places=self._num_shared[places],
                correction_photos=self._photos[corrections],
                correction_signs=np.where(counted[corrected], 1, -1).astype(np.int8),
                correction_places=_int32(np.searchsorted(corrections, places, side="right")),
            )
        )

    def finish(self, num_gt: np.ndarray) -> RankedHits:
        """Return what was added; (P,) `num_gt` boxes count."""
        return RankedHits(
            num_gt=num_gt, shared_photos=self._photos[self.shared], hits=tuple(self._hits)
        )


def _int32(indices: np.ndarray) -> np.ndarray:
    """Halve the memory of indices, of which there are many and none beyond 2^31."""
    return indices.astype(np.int32)


def _sum_up(weights: np.ndarray) -> np.ndarray:
    """Return sums of the first 0, 1, 2, ... weights."""
    return np.concatenate([[0], np.cumsum(weights)])
