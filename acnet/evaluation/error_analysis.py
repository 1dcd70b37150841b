"""What costs average precision: TIDE's kinds of errors.

Each wrong detection has one kind, and each lesion that no detection could be corrected to is
missed. Correcting one kind and leaving the others gives another AP; the gains do not add up to 100,
since each kind hides part of the others.

Shape shorthand: n detections that count, right or wrong; G lesions.

Reference:
    Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020.
"""

from dataclasses import dataclass, replace

import numpy as np

from acnet.evaluation.hit_rules import LARGEST_THRESHOLD
from acnet.evaluation.matching import Matches
from acnet.evaluation.precision_curves import coco_ap

KINDS = ("localisation", "duplicate", "background", "missed")
KINDS_BETWEEN_CLASSES = ("class", "class and localisation")


def error_parts(
    matches: Matches, *, iou: float = 0.5, background_iou: float = 0.1
) -> dict[str, float]:
    """Compute how much AP would be gained by correcting one kind of error alone.

    "localisation": on a lesion of its class, yet not by enough; corrected by moving it there.
    "duplicate": right, but another detection has that lesion; corrected by removing it.
    "background": on no lesion; removed. "missed": a lesion with neither a match nor an error that
    can be corrected to one; taken out of the ground truth. "class": as right, on a lesion of
    another class; its class is changed. "class and localisation": what remains; removed. Where
    several errors can be corrected to one lesion, the best score is, and the others are removed.

    A detection is right from `iou` on, one of the match's thresholds, and on no lesion below
    `background_iou`. The gains are in percent of AP at `iou` and the largest cap: those of `KINDS`
    and, for several classes, of `KINDS_BETWEEN_CLASSES`; there are none without ground truth.
    """
    outcome = _outcome(matches, iou)
    if not outcome.num_gt.any():
        return {}
    kinds = _kinds(matches, outcome, min(iou, LARGEST_THRESHOLD), background_iou)
    used = np.zeros(len(matches.ground_truth), dtype=bool)
    used[matches.matched_gt(iou=iou)[outcome.rows[outcome.right]]] = True

    corrected, within_reach = {}, used.copy()
    for kind, best in (("localisation", matches.best_gt), ("class", matches.best_gt_other)):
        wrong = np.flatnonzero(kinds[kind])
        targets = best[outcome.rows[wrong]]
        within_reach[targets] = True
        corrected[kind] = outcome.correct(wrong, targets, matches.ground_truth.classes, used)
    for kind in ("duplicate", "background", "class and localisation"):
        corrected[kind] = outcome.keep(~kinds[kind])
    missed = ~within_reach & ~matches.ground_truth.crowd
    num_missed = np.bincount(
        matches.ground_truth.classes[missed], minlength=matches.ground_truth.num_classes
    )
    corrected["missed"] = replace(outcome, num_gt=np.maximum(outcome.num_gt - num_missed, 0))

    several = matches.ground_truth.num_classes > 1
    annotated = np.flatnonzero(outcome.num_gt)
    ap = outcome.average_precision(annotated)
    return {
        kind: corrected[kind].average_precision(annotated) - ap
        for kind in (*KINDS, *(KINDS_BETWEEN_CLASSES if several else ()))
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Outcome:
    """Detections that count, by falling score."""

    rows: np.ndarray  # (n,) of the detections
    classes: np.ndarray  # (n,) as predicted
    right: np.ndarray  # (n,) bool
    num_gt: np.ndarray  # (K,) lesions that count

    def keep(self, kept: np.ndarray) -> "_Outcome":
        """Return the (n,) chosen detections."""
        return replace(
            self, rows=self.rows[kept], classes=self.classes[kept], right=self.right[kept]
        )

    def correct(
        self, wrong: np.ndarray, targets: np.ndarray, gt_classes: np.ndarray, used: np.ndarray
    ) -> "_Outcome":
        """Make the best detection of each free target right, and remove the others.

        All are rising indices: (w,) `wrong` detections and their `targets`; (G,) lesions that have
        a right detection are `used`.
        """
        free = ~used[targets]
        wrong_and_free, targets = wrong[free], targets[free]
        lesions, first = np.unique(targets, return_index=True)
        chosen = wrong_and_free[first]
        classes, right = self.classes.copy(), self.right.copy()
        classes[chosen], right[chosen] = gt_classes[lesions], True
        kept = np.ones(len(right), dtype=bool)
        kept[wrong] = False
        kept[chosen] = True
        return replace(self, classes=classes, right=right).keep(kept)

    def average_precision(self, annotated: np.ndarray) -> float:
        """Return the mean AP of the annotated classes in percent.

        One whose lesions have all been taken out is perfect where nothing is detected, else 0.
        """
        aps = []
        for class_index in annotated:
            right = self.right[self.classes == class_index]
            if self.num_gt[class_index] == 0:
                aps.append(float(len(right) == 0))
                continue
            found = np.flatnonzero(right)
            true_positives = np.arange(1, len(found) + 1)
            recall = true_positives / self.num_gt[class_index]
            aps.append(coco_ap(recall, true_positives / (found + 1)))
        return 100 * float(np.mean(aps))


def _outcome(matches: Matches, iou: float) -> _Outcome:
    ignored = matches.ignored(iou=iou)
    rows = np.flatnonzero(~ignored)
    rows = rows[np.argsort(-matches.detections.scores[rows], kind="stable")]
    return _Outcome(
        rows=rows,
        classes=matches.detections.classes[rows],
        right=matches.matched(iou=iou)[rows],
        num_gt=matches.num_gt[:, :, 0].sum(axis=0),
    )


def _kinds(
    matches: Matches, outcome: _Outcome, iou: float, background_iou: float
) -> dict[str, np.ndarray]:
    """Return (n,) bool for each kind of error: the first that fits, in TIDE's order."""
    own, other = matches.best_iou[outcome.rows], matches.best_iou_other[outcome.rows]
    tests = {
        "localisation": (background_iou <= own) & (own < iou),
        "class": other >= iou,
        "duplicate": own >= iou,
        "background": np.maximum(own, other) < background_iou,
        "class and localisation": np.ones(len(own), dtype=bool),
    }
    free = ~outcome.right
    kinds = {}
    for kind, fits in tests.items():
        kinds[kind] = free & fits
        free &= ~fits
    return kinds
