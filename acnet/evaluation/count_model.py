"""From scored detections to a lesion count with an interval, as fitted on validation photos.

The model is one JSON file, which `acnet calibrate` writes (see `acnet.evaluation.count_fit`) and
`acnet evaluate` reads. Beside it stand the shares by which its intervals are judged: how many
photos have their true count inside, and how many are to be expected.
"""

import bisect
import dataclasses
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from acnet.errors import UserError, shown
from acnet.evaluation.columns import Detections
from acnet.files import write_json

FORMAT = "acnet count model"
VERSION = 1
MOST = 10**9  # of any number in a count model
ROUNDING = 1e-9  # of quantile * sqrt(count + 1), where it should be a whole number


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
    if content.get("version") != VERSION:
        raise _unusable(
            source, f"of version {shown(content.get('version'))}, where {VERSION} is known"
        )
    fields = {field.name: field.type for field in dataclasses.fields(CountModel)}
    values = {name: value for name, value in content.items() if name not in ("format", "version")}
    if values.keys() != fields.keys():
        odd = sorted(values.keys() ^ fields.keys())
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


@dataclass(frozen=True, kw_only=True)
class Share:
    """A binomial share with Wilson's score interval.

    Args:
        hits: Photos for which it is so.
        total: Photos, at least 1.
        value: hits / total.
        low: Lower end of the interval.
        high: Upper end.
        level: Of the interval.
    """

    hits: int
    total: int
    value: float
    low: float
    high: float
    level: float


def share(hits: int, total: int, *, level: float = 0.95) -> Share:
    """Compute a share and Wilson's score interval, which holds at 0, at 1 and for few photos too.

    Args:
        hits: From 0 to `total`.
        total: At least 1.
        level: Of the interval, above 0 and below 1.

    Returns:
        The share and its interval, all from 0 to 1.

    Raises:
        ValueError: There is nothing to take a share of, or more hits than that.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927;
        recommended by Brown, Cai and DasGupta, "Interval estimation for a binomial proportion",
        Statistical Science 2001.
    """
    if not 0 <= hits <= total or total < 1:
        raise ValueError(
            "A share is taken of at least one photo, and at most all are hits. "
            f"Received {hits} hits of {total}; count both on the same photos."
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    value = hits / total
    centre = (value + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(value * (1 - value) / total + z**2 / (4 * total**2))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == total else min(1.0, centre + half)
    return Share(hits=hits, total=total, value=value, low=low, high=high, level=level)


def conformal_share_range(
    calibration: int, coverage: float, photos: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Say how far the coverage of conformal intervals may lie from the one asked for, by chance.

    It has two sources: the photos that it is measured on are few, and so were those that set the
    quantile, the k-th smallest of n errors. Errors without ties give a coverage of all new photos
    that is Beta(k, n + 1 - k) distributed, and hits in m of them that are beta-binomial. Errors of
    counts have ties, which can only raise the coverage.

    Args:
        calibration: n, photos whose errors set the quantile.
        coverage: Asked for, above 0 and below 1.
        photos: m, photos on which the coverage is measured.
        level: Of the range.

    Returns:
        Lowest and highest share of hits to be expected.

    Reference:
        Vovk, "Conditional validity of inductive conformal predictors", ACML 2012; Angelopoulos and
        Bates, "A gentle introduction to conformal prediction", 2021, section 3.2.
    """
    rank = conformal_rank(calibration, coverage)
    hits = range(photos + 1)
    chances = [
        math.exp(
            math.lgamma(photos + 1)
            - math.lgamma(hit + 1)
            - math.lgamma(photos - hit + 1)
            + _log_beta(hit + rank, photos - hit + calibration + 1 - rank)
            - _log_beta(rank, calibration + 1 - rank)
        )
        for hit in hits
    ]
    up_to = list(itertools.accumulate(chances))
    low = bisect.bisect_left(up_to, (1 - level) / 2)
    high = min(bisect.bisect_left(up_to, (1 + level) / 2), photos)
    return low / photos, high / photos


def conformal_rank(calibration: int, coverage: float) -> int:
    """Return k: the k-th smallest of n errors is the conformal quantile, if k is at most n."""
    return math.ceil((calibration + 1) * coverage - 1e-9)  # 10 * 0.9 may be a little above 9


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
