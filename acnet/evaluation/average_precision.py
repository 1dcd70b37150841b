"""Average precision and recall from the one match: COCO's and VOC's, weighted by photos.

A bootstrap replicate is the same match with other weights: a photo that was drawn twice counts
twice, and all its detections stand where they stood in the order of scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.matches import Matches
from acnet.evaluation.matching import COCO_IOUS
from acnet.evaluation.ranked_hits import RankedHits, rank_hits, rank_voc_hits

# As pycocotools and detectron2 compute them: the digits decide which point a recall reaches.
COCO_RECALLS = np.linspace(0.0, 1.0, 101)
VOC07_RECALLS = np.arange(0.0, 1.1, 0.1)
VOC_IOUS = tuple(percent / 100 for percent in range(50, 100, 5))


class PrecisionCurves:
    """What is sorted once, so that each re-weighting of the photos costs only sums.

    Args:
        matches: Of all photos, at COCO's ten thresholds and any others.
        suffixes: Of the size ranges that are wanted; None for all.
        caps: Those that are wanted; None for all.
        voc: Whether VOC's numbers are wanted.

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
        """Compute every number, with each photo counted as often as its weight says.

        Args:
            photo_weights: (P,) integers, at least 0; None for once each.

        Returns:
            See `average_precision`.
        """
        weights = np.ones(self._num_photos) if photo_weights is None else np.asarray(photo_weights)
        numbers: dict[str, float] = {}
        for (suffix, cap), ranked in self._coco.items():
            numbers |= self._coco_numbers(ranked, weights, suffix, cap)
        return numbers | self._voc_numbers(weights)

    def _coco_numbers(
        self, ranked: list[RankedHits], weights: np.ndarray, suffix: str, cap: int
    ) -> dict[str, float]:
        names = [
            name
            for name, one in zip(self._class_names, ranked, strict=True)
            if weights @ one.num_gt > 0
        ]
        curves = [list(one.curves(weights)) for one in ranked if weights @ one.num_gt > 0]
        if not curves:
            return {}
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

    Args:
        matches: Of all photos.
        photo_weights: (P,) integers: how often each photo counts; None for once each. For many
            weightings of the same match use `PrecisionCurves`.

    Returns:
        For each cap `AP@1000`, `AP50@1000`, `AP75@1000` and `AR@1000`, likewise for each size range
        `APs@1000` or `AP50[0-16px]@1000`, and for several classes `AP-NAME@1000` and
        `AP50-NAME@1000`; then VOC's `AP-VOC07`, `AP50-VOC07` and `AP75-VOC07` (11 points), and the
        same with `-area`. A size range or a class without ground truth has no key and no part in a
        mean, and without any ground truth there is no key at all. No detections is 0.
    """
    numbers: dict[str, float] = {}
    for cap in matches.caps:  # one after the other, for the memory of one
        curves = PrecisionCurves(matches, caps=[cap], voc=cap == matches.caps[-1])
        numbers |= curves.average_precision(photo_weights)
    return numbers


def coco_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Average the best precision from each of COCO's 101 recalls on; it is 0 beyond the last.

    Args:
        recall: (m,) rising, at the true positives.
        precision: (m,) there.
    """
    return _mean_at(COCO_RECALLS, recall, precision)


def voc07_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Average the precision at VOC 2007's 11 recalls; see `coco_ap`."""
    return _mean_at(VOC07_RECALLS, recall, precision)


def area_ap(recall: np.ndarray, precision: np.ndarray) -> float:
    """Integrate the precision over the recall, as VOC does since 2010; see `coco_ap`."""
    return float(np.diff(recall, prepend=0.0) @ _best_from_here(precision))


VOC_RULES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "VOC07": voc07_ap,
    "area": area_ap,
}


def _mean_at(recalls: np.ndarray, recall: np.ndarray, precision: np.ndarray) -> float:
    reached = np.append(_best_from_here(precision), 0.0)
    return float(reached[np.searchsorted(recall, recalls, side="left")].mean())


def _best_from_here(precision: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(precision[::-1])[::-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class PrecisionRecall:
    """A curve for a figure, one point a true positive.

    Args:
        recall: (m,) rising, in [0, 1].
        precision: (m,) as measured, not made monotonic, in [0, 1].
        scores: (m,) falling; the threshold that gives the point.
        ap: Of the curve by COCO's 101 points, in percent.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray
    ap: float


def precision_recall(
    matches: Matches, *, class_index: int = 0, iou: float = 0.5, cap: int | None = None
) -> PrecisionRecall | None:
    """Return the curve of precision over recall of one class.

    Args:
        matches: Of all photos.
        class_index: Of the class.
        iou: One of the match's thresholds.
        cap: One of the caps; None for the largest.

    Returns:
        The curve, without points where nothing was found; None for a class without ground truth.

    Raises:
        ValueError: Threshold or cap were not matched at.
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
