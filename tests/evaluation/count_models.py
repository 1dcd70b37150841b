"""Count models as `acnet calibrate` could have fitted them, for tests that only need one."""

from acnet.evaluation.count_model import CountModel


def count_model(
    *,
    merge: str = "nms",
    threshold: float = 0.5,
    quantile: float = 1.0,
    view: str = "half face",
    lesions: str = "inflammatory",
) -> CountModel:
    """Return a count model with the given values, and others that only fill its file."""
    return CountModel(
        merge=merge,
        threshold=threshold,
        coverage=0.9,
        quantile=quantile,
        fit_photos=20,
        interval_photos=21,
        fit_mae=1.25,
        interval_mae=1.5,
        seed=0,
        view=view,
        lesions=lesions,
    )
