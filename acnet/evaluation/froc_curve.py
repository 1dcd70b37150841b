"""Free-response ROC: sensitivity over false positives a photo.

A lesion is hit once. What a further detection on it is, the literature does not agree on: LUNA16
leaves it out, since a reader who looks at the mark finds a lesion there. That is the default here,
and the count errors and the "duplicate" error part show what it hides.

Reference:
    Setio et al., Validation, comparison, and combination of algorithms for automatic detection of
    pulmonary nodules in computed tomography images: the LUNA16 challenge, 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from acnet.evaluation.hit_rules import LARGEST_THRESHOLD
from acnet.evaluation.matching import Matches

FALSE_POSITIVES_PER_PHOTO = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
RULES = ("iou", "centre")
DUPLICATES = ("ignored", "false")


@dataclass(frozen=True, kw_only=True, eq=False)
class Froc:
    """Sensitivity over false positives, and at the points that are usually reported."""

    false_positives: np.ndarray  # (N,) a photo, rising, for N falling thresholds
    sensitivity: np.ndarray  # (N,) share of the lesions that are hit, rising, in [0, 1]
    # (N,) the thresholds: each score that occurs. Detections of equal score come together, since no
    # threshold parts them.
    scores: np.ndarray
    points: tuple[float, ...]  # the false positives a photo that were asked for
    # Sensitivity at the last threshold that gives at most as many: of all detections where together
    # they give fewer, 0 where the first gives more. Nothing is interpolated, so each can be had.
    at_points: tuple[float, ...]
    thresholds: tuple[float | None, ...]  # those thresholds; None where even the first gives more
    score: float  # mean of `at_points`


class FrocCurve:
    """What is sorted once, so that each re-weighting of the photos costs only sums.

    Args:
        rule: "iou": a detection hits the lesion that it is matched with at `iou`; "centre": the
            one that `match` gave it by the centre rule.
        iou: One of the match's thresholds. By either rule, a detection that COCO's match gives no
            lesion is left out when it overlaps a crowd by that share of its own area.
        duplicates: What a further detection on a lesion is that is hit already.

    Raises:
        ValueError: An option is none of the above.
    """

    def __init__(
        self,
        matches: Matches,
        *,
        rule: Literal["iou", "centre"] = "iou",
        iou: float = 0.5,
        duplicates: Literal["ignored", "false"] = "ignored",
    ):
        for name, value, choices in (("rule", rule, RULES), ("duplicates", duplicates, DUPLICATES)):
            if value not in choices:
                raise ValueError(
                    f"{name} must be one of {choices}. Received {value!r}; choose one of them."
                )
        ignored = matches.ignored(iou=iou)
        if rule == "iou":
            hit = matches.matched(iou=iou) & ~ignored
            near = matches.best_iou >= min(iou, LARGEST_THRESHOLD)
        else:
            hit = matches.centre_gt >= 0
            near = matches.centre_near
        if duplicates == "ignored":
            ignored = ignored | near
        rows = np.flatnonzero(hit | ~ignored)
        rows = rows[np.argsort(-matches.detections.scores[rows], kind="stable")]
        scores = matches.detections.scores[rows]
        self._photos, self._hit = matches.detections.photo[rows], hit[rows]
        self._last_of_score = np.flatnonzero(np.diff(scores, append=-np.inf))
        self._scores = scores[self._last_of_score]
        self._num_gt = matches.num_gt[:, :, 0].sum(axis=1)

    def froc(
        self,
        photo_weights: np.ndarray | None = None,
        *,
        points: Sequence[float] = FALSE_POSITIVES_PER_PHOTO,
    ) -> Froc | None:
        """Compute the curve, with each photo counted as often as its (P,) weight says.

        `points` are the false positives a photo at which sensitivity is reported. Without a lesion
        there is nothing to find, and no curve.
        """
        weights = np.ones(len(self._num_gt)) if photo_weights is None else np.asarray(photo_weights)
        num_gt = weights @ self._num_gt
        if num_gt == 0:
            return None
        of_rows = weights[self._photos]
        false_positives = np.cumsum(of_rows * ~self._hit)[self._last_of_score] / weights.sum()
        sensitivity = np.cumsum(of_rows * self._hit)[self._last_of_score] / num_gt
        places = np.searchsorted(false_positives, points, side="right") - 1
        at_points = [float(sensitivity[place]) if place >= 0 else 0.0 for place in places]
        return Froc(
            false_positives=false_positives,
            sensitivity=sensitivity,
            scores=self._scores,
            points=tuple(points),
            at_points=tuple(at_points),
            thresholds=tuple(float(self._scores[p]) if p >= 0 else None for p in places),
            score=float(np.mean(at_points)),
        )


def froc(
    matches: Matches,
    *,
    rule: Literal["iou", "centre"] = "iou",
    iou: float = 0.5,
    duplicates: Literal["ignored", "false"] = "ignored",
    points: Sequence[float] = FALSE_POSITIVES_PER_PHOTO,
    photo_weights: np.ndarray | None = None,
) -> Froc | None:
    """Compute the FROC curve, all classes together, each detection by its own class.

    The options are those of `FrocCurve`, which is meant for many weightings of the same match.
    """
    curve = FrocCurve(matches, rule=rule, iou=iou, duplicates=duplicates)
    return curve.froc(photo_weights, points=points)
