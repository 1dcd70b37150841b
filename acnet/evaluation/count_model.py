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
MOST_NUMBERS = 1000  # in one of its lists
ROUNDING = 1e-9  # of quantile * sqrt(count + 1), where it should be a whole number
UNKNOWN = "unknown"
VIEWS = ("half face", "whole face", "part of a face", UNKNOWN)
LESIONS = ("inflammatory", "all", UNKNOWN)
CHOICES = {"view": VIEWS, "lesions": LESIONS}
# What Hayashi's limits count: papules and pustules, without comedones, on one half of the face.
GRADED = ("half face", "inflammatory")


@dataclass(frozen=True, kw_only=True)
class ScoreMap:
    """From a score to the share of detections with such a score that is right at IoU 0.5.

    Between two scores the share is linear, beyond them that of the end.
    """

    method: str  # what was fitted, "isotonic" or "Platt"
    scores: tuple[float, ...]  # rising
    shares: tuple[float, ...]  # as many, not falling, 0 to 1

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return the probability of each score, in the same order as the scores."""
        return np.interp(scores, self.scores, self.shares)

    @property
    def is_valid(self) -> bool:
        """Whether the numbers can be those of such a map."""
        return (
            len(self.scores) == len(self.shares)
            and (np.diff(self.scores) > 0).all()
            and (np.diff([0.0, *self.shares, 1.0]) >= 0).all()
        )


NUM_TRAITS = 30  # of `acnet.photos.results.photo_traits`


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What photos look like that the validation photos stand for, by NUM_TRAITS traits."""

    mean: tuple[float, ...]  # of the validation photos' traits
    scale: tuple[float, ...]  # their standard deviations
    limit: float  # largest distance of a photo that is like them

    def distances(self, traits: np.ndarray) -> np.ndarray:
        """Return the distance of each photo, (..., NUM_TRAITS) to (...).

        NOT IN PAPER: the mean of log(1 + z^2) over traits, the negative log-likelihood of
        independent Cauchy variables; one odd trait says little, many say much.
        """
        z = (np.asarray(traits) - self.mean) / self.scale
        return np.log1p(np.square(z)).mean(axis=-1)

    def has(self, traits: np.ndarray) -> bool:
        """Tell whether a photo is like the validation photos."""
        return bool(self.distances(traits) <= self.limit)

    @property
    def is_valid(self) -> bool:
        """Whether the numbers can be those of a domain."""
        right_sizes = len(self.mean) == len(self.scale) == NUM_TRAITS
        return right_sizes and min(self.scale) > 0 and self.limit >= 0


NESTED = {"probability": ScoreMap, "domain": Domain}


@dataclass(frozen=True, kw_only=True)
class CountModel:
    """A score threshold that makes counts right, and how far they may be wrong.

    `merge` names what merged the detections that it was fitted to, such as "nms", with the size at
    which photos were seen, where that was not their own; other scores mean something else.
    """

    merge: str
    threshold: float  # a detection counts where its score is at least this
    coverage: float  # share of photos whose true count the interval shall hold, such as 0.9
    quantile: float  # conformal quantile of |true - counted| / sqrt(counted + 1)
    fit_photos: int  # that the threshold was fitted on
    interval_photos: int  # other ones, that the quantile was taken from
    fit_mae: float  # mean absolute error on the former, in lesions
    interval_mae: float  # on the latter, which did not choose the threshold
    seed: int  # of the split
    view: str = UNKNOWN  # what the validation photos show, one of `VIEWS`
    lesions: str = UNKNOWN  # which lesions their boxes mark, one of `LESIONS`
    probability: ScoreMap | None = None  # what a score means, where it was fitted
    domain: Domain | None = None  # which photos it may count; None for all

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
        """Count the detections, of the model's own merging, in each of P photos, (P,) int64."""
        return detections.counts(num_photos, score_threshold=self.threshold)

    def interval(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (P,) lowest and highest true count of photos by their (P,) counts.

        Both are included: of photos like the validation photos, a share of at least `coverage` has
        its true count in between.
        """
        counts = np.asarray(counts, dtype=np.int64)
        half = np.floor(self.quantile * np.sqrt(counts + 1) + ROUNDING).astype(np.int64)
        return np.maximum(counts - half, 0), counts + half

    def to_json(self) -> str:
        """Return the model as text, which `parse_count_model` takes."""
        return json.dumps(_content(self))


def write_count_model(path: Path, model: CountModel) -> None:
    """Write a count model, atomically."""
    write_json(path, _content(model), indent=2)


def read_count_model(path: Path) -> CountModel:
    """Read a count model and check that it can be one.

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
    """Read a count model from its JSON, which comes from a source that errors name.

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
    needed = fields.keys() - vars(CountModel).keys()  # those without a default
    values = {name: value for name, value in content.items() if name not in ("format", "version")}
    if odd := sorted((values.keys() - fields.keys()) | (needed - values.keys())):
        raise _unusable(source, f"in which {', '.join(odd)[:200]} is missing or unknown")
    for name, value in values.items():
        if name in NESTED and value is not None:
            values[name] = value = _read_nested(NESTED[name], value)
        if not _is_valid(name, fields[name], value):
            raise _unusable(source, f"in which {name} is {shown(value)}")
    if conformal_rank(values["interval_photos"], values["coverage"]) > values["interval_photos"]:
        fault = "{interval_photos} photos cannot promise a coverage of {coverage}"
        raise _unusable(source, f"in which {fault.format(**values)}")
    return CountModel(**values)


def check_merge(model: CountModel, merge_name: str, *, source: str) -> None:
    """Refuse a count model whose threshold belongs to scores of another merging.

    Raises:
        UserError: The two differ; it names the source of the model.
    """
    if model.merge != merge_name:
        raise UserError(
            "A count model's threshold was fitted to scores of one way of sizing photos and merging"
            f" detections, and means nothing for another. Received {source}, fitted to "
            f"{model.merge!r}, where {merge_name!r} is used. Choose the same --photo-size, or fit "
            "another count model by `acnet calibrate`."
        )


def _is_valid(name: str, kind: type, value: Any) -> bool:
    if name in CHOICES:
        return value in CHOICES[name]
    if name in NESTED:
        return value is None or (isinstance(value, NESTED[name]) and value.is_valid)
    if kind is str:
        return isinstance(value, str) and bool(value) and value.isprintable()
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
        return False
    if not -MOST <= value <= MOST:  # NaN is neither
        return False
    if name == "coverage":
        return 0 < value < 1
    return value >= (1 if name.endswith("_photos") else 0) or name == "threshold"


def _read_nested(kind: type, value: Any) -> Any:
    """Return a `kind` of a mapping's texts, numbers and lists of numbers; else the value itself."""
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    if not isinstance(value, dict) or value.keys() != fields.keys():
        return value
    read = {name: tuple(one) if isinstance(one, list) else one for name, one in value.items()}
    for name, one in read.items():
        numbers = one if isinstance(one, tuple) else (one,)
        if fields[name] is str:
            is_right = isinstance(one, str) and one.isprintable()
        else:
            is_right = (fields[name] is not float) == isinstance(one, tuple)
            is_right &= 0 < len(numbers) <= MOST_NUMBERS and all(map(_is_number, numbers))
        if not is_right:
            return value
    return kind(**read)


def _is_number(value: Any) -> bool:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return is_one and -MOST <= value <= MOST  # NaN is neither


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
    return max(1, math.ceil((calibration + 1) * coverage - 1e-9))  # 10 * 0.9 may be above 9
