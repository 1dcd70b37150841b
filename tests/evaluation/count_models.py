"""Count models as `acnet calibrate` could have fitted them, for tests that only need one."""

from acnet.evaluation.count_model import CountModel


def count_model(**values: object) -> CountModel:
    """Return a count model with the given values, and others that only fill its file."""
    usual = {"merge": "nms", "threshold": 0.5, "coverage": 0.9, "quantile": 1.0, "seed": 0}
    usual |= {"fit_photos": 20, "interval_photos": 21, "fit_mae": 1.25, "interval_mae": 1.5}
    usual |= {"view": "half face", "lesions": "inflammatory"}
    return CountModel(**usual | values)
