"""From scored detections to a lesion count with an interval, as fitted on validation photos."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CountModel:
    """A score threshold that makes counts right, and how far they may be wrong.

    Args:
        merge: What merged the detections that it was fitted to, such as "soft_nms-linear"; the
            scores of another merging mean something else.
        threshold: A detection counts where its score is at least this.
        coverage: Share of photos whose true count the interval shall hold, such as 0.9.
        quantile: Conformal quantile of |true - counted| / sqrt(counted + 1).
        fit_photos: Photos that the threshold was fitted on.
        interval_photos: Other photos that the quantile was taken from.
        fit_mae: Mean absolute error on the former, at the threshold.
        interval_mae: On the latter: an honest estimate.
        seed: Of the split.
    """

    merge: str
    threshold: float
    coverage: float
    quantile: float
    fit_photos: int
    interval_photos: int
    fit_mae: float
    interval_mae: float
    seed: int
