"""From scored detections to a lesion count with an interval, as fitted on validation photos.

The model is one JSON file, which `acnet calibrate` writes (see `acnet.evaluation.count_fit`) and
`acnet predict` and `acnet evaluate` read.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acnet.errors import UserError, shown
from acnet.evaluation.columns import Detections
from acnet.files import write_json

FORMAT = "acnet count model"
VERSION = 2
READABLE_VERSIONS = (1, 2)  # version 1 did not say what its photos show
MOST = 10**9  # of any number in a count model
ROUNDING = 1e-9  # of quantile * sqrt(count + 1), where it should be a whole number
UNKNOWN = "unknown"
VIEWS = ("half face", "whole face", "part of a face", UNKNOWN)
LESIONS = ("inflammatory", "all", UNKNOWN)
CHOICES = {"view": VIEWS, "lesions": LESIONS}
# What Hayashi's limits count: papules and pustules, without comedones, on one half of the face.
GRADED = ("half face", "inflammatory")


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
        interval_photos: Other photos, that the quantile was taken from.
        fit_mae: Mean absolute error on the former, in lesions.
        interval_mae: On the latter, which did not choose the threshold.
        seed: Of the split.
        view: What the validation photos show, one of `VIEWS`.
        lesions: Which lesions their boxes mark, one of `LESIONS`.
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
    view: str = UNKNOWN
    lesions: str = UNKNOWN

    @property
    def has_grade(self) -> bool:
        """Whether its counts are of what Hayashi's limits are for.

        NOT IN PAPER: limits for other views or lesions would be guesses of ours, so those photos
        get no grade.
        """
        return (self.view, self.lesions) == GRADED

    @property
    def counted(self) -> str:
        """What a count is of, such as "inflammatory lesions, half face"."""
        lesions = (
            "lesions of unknown kind" if self.lesions == UNKNOWN else f"{self.lesions} lesions"
        )
        return f"{lesions}, {'unknown view' if self.view == UNKNOWN else self.view}"

    def count(self, detections: Detections, num_photos: int) -> np.ndarray:
        """Count the detections of each photo that reach the threshold.

        Args:
            detections: Of the same merging as the model's.
            num_photos: P.

        Returns:
            (P,) int64.
        """
        return detections.counts(num_photos, score_threshold=self.threshold)

    def interval(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Say how many lesions a photo may truly have.

        Args:
            counts: (P,) counts by this model.

        Returns:
            (P,) lowest and (P,) highest true count, both included, int64 from 0: of photos like
            the validation photos, a share of at least `coverage` has its true count in between.
        """
        counts = np.asarray(counts, dtype=np.int64)
        half = np.floor(self.quantile * np.sqrt(counts + 1) + ROUNDING).astype(np.int64)
        return np.maximum(counts - half, 0), counts + half

    def to_json(self) -> str:
        """Return the model as text, which `parse_count_model` takes."""
        return json.dumps(_content(self))


def write_count_model(path: Path, model: CountModel) -> None:
    """Write a count model, atomically.

    Args:
        path: The JSON file.
        model: What to write.
    """
    write_json(path, _content(model), indent=2)


def read_count_model(path: Path) -> CountModel:
    """Read a count model and check that it can be one.

    Args:
        path: The JSON file.

    Returns:
        The model.

    Raises:
        UserError: There is no such file, or it is no count model of this version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unusable(str(path), f"which cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _unusable(str(path), f"which is no JSON ({error})") from error
    return parse_count_model(text, source=str(path))


def parse_count_model(text: str, *, source: str) -> CountModel:
    """Read a count model from its text and check that it can be one.

    Args:
        text: JSON.
        source: Where it comes from, for errors.

    Returns:
        The model.

    Raises:
        UserError: It is no count model of this version.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(source, f"which is no JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _unusable(source, f"which does not say 'format': '{FORMAT}'")
    if content.get("version") not in READABLE_VERSIONS:
        known = " and ".join(map(str, READABLE_VERSIONS))
        raise _unusable(
            source, f"of version {shown(content.get('version'))}, where {known} are known"
        )
    fields = {field.name: field.type for field in dataclasses.fields(CountModel)}
    needed = {
        field.name
        for field in dataclasses.fields(CountModel)
        if field.default is dataclasses.MISSING
    }
    values = {name: value for name, value in content.items() if name not in ("format", "version")}
    if odd := sorted((values.keys() - fields.keys()) | (needed - values.keys())):
        raise _unusable(source, f"in which {', '.join(odd)[:200]} is missing or unknown")
    for name, value in values.items():
        if not _is_valid(name, fields[name], value):
            raise _unusable(source, f"in which {name} is {shown(value)}")
    if conformal_rank(values["interval_photos"], values["coverage"]) > values["interval_photos"]:
        fault = "{interval_photos} photos cannot promise a coverage of {coverage}"
        raise _unusable(source, f"in which {fault.format(**values)}")
    return CountModel(**values)


def check_merge(model: CountModel, merge_name: str, *, source: str) -> None:
    """Refuse a count model whose threshold belongs to other scores.

    Args:
        model: To be used.
        merge_name: What merged the detections that it is to count, such as "soft_nms-linear".
        source: Where the model comes from, for the error.

    Raises:
        UserError: The two differ.
    """
    if model.merge != merge_name:
        raise UserError(
            "A count model's threshold was fitted to scores of one way of merging detections, and "
            f"means nothing for another. Received {source}, fitted to {model.merge!r}, where "
            f"{merge_name!r} merges. Choose the same merging, or fit another count model by "
            "`acnet calibrate`."
        )


def _is_valid(name: str, kind: type, value: Any) -> bool:
    if name in CHOICES:
        return value in CHOICES[name]
    if kind is str:
        return isinstance(value, str) and bool(value)
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
        return False
    if not -MOST <= value <= MOST:  # NaN is neither
        return False
    if name == "coverage":
        return 0 < value < 1
    return value >= (1 if name.endswith("_photos") else 0) or name == "threshold"


def _content(model: CountModel) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(model)}


def _unusable(source: str, fault: str) -> UserError:
    return UserError(
        "A count needs the score threshold that was fitted on validation photos, from a file that "
        f"`acnet calibrate` wrote. Received {source}, {fault}; write it anew with `acnet calibrate "
        f"GT.json PREDICTIONS.json --merge NAME --output {Path(source).with_suffix('.json').name}`."
    )


def conformal_rank(calibration: int, coverage: float) -> int:
    """Return k: the k-th smallest of n errors is the conformal quantile, if k is at most n."""
    return math.ceil((calibration + 1) * coverage - 1e-9)  # 10 * 0.9 may be a little above 9
