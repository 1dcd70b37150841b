"""Average precision and recall from the one match: COCO's and VOC's, weighted by photos.

A bootstrap replicate is the same match with other weights: a photo that was drawn twice counts
twice, and all its detections stand where they stood in the order of scores.

Precision has its peaks at true positives, so a curve needs only these, each with the number of
detections up to it. That number is a cumulative sum shared by all IoU thresholds, plus a few
corrections: detections of other sizes that are matched all the same, and those on crowds.

Shape shorthand: P photos, n detections of a class within the cap, c of them whose counting depends
on the threshold, m true positives.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.matching import COCO_IOUS, Matches

# As pycocotools and detectron2 compute them: the digits decide which point a recall reaches.
COCO_RECALLS = np.linspace(0.0, 1.0, 101)
VOC07_RECALLS = np.arange(0.0, 1.1, 0.1)
VOC_IOUS = tuple(percent / 100 for percent in range(50, 100, 5))


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
    matches: Matches, *, class_index: int, cap: int, suffixes: Sequence[str], ious: Sequence[float]
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
    # int32 halves the memory of indices, of which there are many.
    rows = np.flatnonzero(matches.detections.classes == class_index).astype(np.int32)
    return rows[np.argsort(-matches.detections.scores[rows], kind="stable")]


class _Ranking:
    """Collects the true positives of (n,) sorted detections, threshold by threshold.

    Thresholds decide of (c,) `positions`; the others are wrong where they are `shared`, (n,) bool,
    and do not count elsewhere.
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
        correction_places = np.searchsorted(corrections, places, side="right")
        self._hits.append(
            Hits(
                rows=self._rows[places],
                photos=self._photos[places],
                places=self._num_shared[places],
                correction_photos=self._photos[corrections],
                correction_signs=np.where(counted[corrected], 1, -1).astype(np.int8),
                correction_places=correction_places.astype(np.int32),
            )
        )

    def finish(self, num_gt: np.ndarray) -> RankedHits:
        """Return what was added; (P,) `num_gt` boxes count."""
        return RankedHits(
            num_gt=num_gt, shared_photos=self._photos[self.shared], hits=tuple(self._hits)
        )


def _sum_up(weights: np.ndarray) -> np.ndarray:
    """Return sums of the first 0, 1, 2, ... weights."""
    return np.concatenate([[0], np.cumsum(weights)])


class PrecisionCurves:
    """What is sorted once, so that each re-weighting of the photos costs only sums.

    Args:
        matches: Of all photos, at COCO's ten thresholds and any others.
        suffixes, caps: Of the size ranges and the caps that are wanted; None for all.

    Raises:
        ValueError: A threshold of COCO's, a size range or a cap was not matched at.
    """

    def __init__(
        self,
        matches: Matches,
        *,
        suffixes: Sequence[str] | None = None,
        caps: Sequence[int] | None = None,
        voc: bool = True,
    ):
        if suffixes is None:
            suffixes = [size_range.suffix for size_range in matches.size_ranges]
        self._class_names = matches.ground_truth.class_names
        self._num_photos = matches.ground_truth.num_photos
        classes = range(len(self._class_names))
        self._coco: dict[tuple[str, int], list[RankedHits]] = {}
        for cap in matches.caps if caps is None else caps:
            matches.check_cap(cap)
            by_class = [
                rank_hits(matches, class_index=k, cap=cap, suffixes=suffixes, ious=COCO_IOUS)
                for k in classes
            ]
            for suffix in suffixes:
                self._coco[suffix, cap] = [ranked[suffix] for ranked in by_class]
        self._voc = [rank_voc_hits(matches, class_index=k, ious=VOC_IOUS) for k in classes if voc]

    def average_precision(self, photo_weights: np.ndarray | None = None) -> dict[str, float]:
        """Compute what `average_precision` does, each photo counted as its (P,) weight says."""
        weights = np.ones(self._num_photos) if photo_weights is None else np.asarray(photo_weights)
        numbers: dict[str, float] = {}
        for (suffix, cap), ranked in self._coco.items():
            numbers |= self._coco_numbers(ranked, weights, suffix, cap)
        return numbers | self._voc_numbers(weights)

    def _coco_numbers(
        self, ranked: list[RankedHits], weights: np.ndarray, suffix: str, cap: int
    ) -> dict[str, float]:
        known = [
            (name, list(one.curves(weights)))
            for name, one in zip(self._class_names, ranked, strict=True)
            if weights @ one.num_gt > 0
        ]
        if not known:
            return {}
        names, curves = zip(*known, strict=True)
        # (classes with ground truth, thresholds)
        aps = 100 * np.array([[coco_ap(*curve) for curve in of_class] for of_class in curves])
        recalls = np.array([[recall[-1:].sum() for recall, _ in of_class] for of_class in curves])
        numbers = {
            f"AP{suffix}@{cap}": aps.mean(),
            f"AP50{suffix}@{cap}": aps[:, COCO_IOUS.index(0.5)].mean(),
            f"AP75{suffix}@{cap}": aps[:, COCO_IOUS.index(0.75)].mean(),
            f"AR{suffix}@{cap}": 100 * recalls.mean(),
        }
        if suffix == "" and len(self._class_names) > 1:
            for name, of_class in zip(names, aps, strict=True):
                numbers[f"AP-{name}@{cap}"] = of_class.mean()
                numbers[f"AP50-{name}@{cap}"] = of_class[COCO_IOUS.index(0.5)]
        return {key: float(number) for key, number in numbers.items()}

    def _voc_numbers(self, weights: np.ndarray) -> dict[str, float]:
        curves = [list(one.curves(weights)) for one in self._voc if weights @ one.num_gt > 0]
        numbers = {}
        for rule, ap in VOC_RULES.items() if curves else ():
            # (classes with ground truth, thresholds)
            aps = 100 * np.array([[ap(*curve) for curve in of_class] for of_class in curves])
            numbers[f"AP-{rule}"] = float(aps.mean())
            numbers[f"AP50-{rule}"] = float(aps[:, VOC_IOUS.index(0.5)].mean())
            numbers[f"AP75-{rule}"] = float(aps[:, VOC_IOUS.index(0.75)].mean())
        return numbers


def average_precision(
    matches: Matches, *, photo_weights: np.ndarray | None = None
) -> dict[str, float]:
    """Compute average precision and recall in percent.

    For many weightings of the same match by (P,) photos use `PrecisionCurves`.

    There are for each cap `AP@1000`, `AP50@1000`, `AP75@1000` and `AR@1000`, likewise for each size
    range `APs@1000` or `AP50[0-16px]@1000`, and for several classes `AP-NAME@1000` and
    `AP50-NAME@1000`; then VOC's `AP-VOC07`, `AP50-VOC07` and `AP75-VOC07` (11 points), and the same
    with `-area`. A size range or a class without ground truth has no key and no part in a mean, and
    without any ground truth there is no key at all. No detections is 0.
    """
    numbers: dict[str, float] = {}
    for cap in matches.caps:  # one after the other, for the memory of one
        curves = PrecisionCurves(matches, caps=[cap], voc=cap == matches.caps[-1])
        numbers |= curves.average_precision(photo_weights)
    return numbers


def coco_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Average the best precision from each of COCO's 101 recalls on; see `precision_at`."""
    return float(precision_at(COCO_RECALLS, recall, precision).mean())


def voc07_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Average the precision at VOC 2007's 11 recalls; see `precision_at`."""
    return float(precision_at(VOC07_RECALLS, recall, precision).mean())


def area_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Integrate the precision over the recall, as VOC does since 2010."""
    return float(np.diff(recall, prepend=0.0) @ _best_from_here(precision))


VOC_RULES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "VOC07": voc07_ap,
    "area": area_ap,
}


def precision_at(recalls: np.ndarray, recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the best precision from each of (R,) recalls on, (R,); it is 0 beyond the last.

    Recall, which rises, and precision are (m,), at the true positives.
    """
    reached = np.append(_best_from_here(precision), 0.0)
    return reached[np.searchsorted(recall, recalls, side="left")]


def _best_from_here(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class PrecisionRecall:
    """A curve for a figure, one point a true positive."""

    recall: np.ndarray  # (m,) rising, in [0, 1]
    precision: np.ndarray  # (m,) as measured, not made monotonic, in [0, 1]
    scores: np.ndarray  # (m,) falling; the threshold that gives the point
    ap: float  # of the curve by COCO's 101 points, in percent


def precision_recall(
    matches: Matches, *, class_index: int = 0, iou: float = 0.5, cap: int | None = None
) -> PrecisionRecall | None:
    """Return the curve of precision over recall of one class, by default at the largest cap.

    It has no points where nothing was found; a class without ground truth has no curve.
    """
    cap = matches.caps[-1] if cap is None else cap
    matches.check_cap(cap)
    ranked = rank_hits(matches, class_index=class_index, cap=cap, suffixes=[""], ious=[iou])[""]
    if not ranked.num_gt.any():
        return None
    ((recall, precision),) = ranked.curves(np.ones(matches.ground_truth.num_photos))
    return PrecisionRecall(
        recall=recall,
        precision=precision,
        scores=matches.detections.scores[ranked.hits[0].rows],
        ap=100 * coco_ap(recall, precision),
    )
