"""Numbers of rows and their differences, with intervals over seeds and photos.

Two things would change a number: other photos of the same kind, and another seed. Each gets its own
interval, by the method that suits it:

- photos: the paired bootstrap of `acnet.evaluation.bootstrap`, on the mean over seeds; percentiles.
- seeds: Student's t. There are few seeds, but many rows, so the spread between seeds is pooled over
  the rows of a table, as in an analysis of variance: of a difference, what is left after each row
  has its mean and each seed its own, since a difference is taken within a seed.

The two are independent, so their half-widths add as squares (the method of variance estimates
recovery). A resampling of three seeds would be too narrow by a third.

Shape shorthand: R replicates.

Reference:
    Zou and Donner, "Construction of confidence limits about effect measures", Statistics in
    Medicine 2008.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import stats

from acnet.config import load_config
from acnet.evaluation.bootstrap import percentile_interval
from projects.ACNet.tables.record import RESAMPLED, Record, check_equal, model_settings
from projects.ACNet.tables.rows import TWINS, Row, baseline_of, known_rows, part_pairs

LEVEL = 0.95
Sample: TypeAlias = tuple[float, np.ndarray]  # a number on all photos, and (R,) on resampled ones
Samples: TypeAlias = Mapping[str, Mapping[int, Sample]]  # by row, then by seed


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number of one row or of several weighted ones: mean over the seeds, on all photos.

    Its interval is over photos, and over seeds where a row has two; None where there is none.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def is_clear(self) -> bool:
        """The whole interval is on one side of 0."""
        return self.low is not None and (self.low > 0 or self.high < 0)


def estimate(samples: Samples, weights: Mapping[str, float]) -> Estimate | None:
    """Estimate a weighted sum of rows: one row, a gain, or a mean of several gains.

    `samples` are of all rows whose spread between seeds is pooled. Only seeds that all weighted
    rows have are used; without one there is no estimate.
    """
    if not all(samples.get(row) for row in weights):
        return None
    seeds = sorted(set.intersection(*(set(samples[row]) for row in weights)))
    if not seeds:
        return None
    value = float(np.mean([_weighted(samples, weights, seed, 0) for seed in seeds]))
    resampled = np.mean([_weighted(samples, weights, seed, 1) for seed in seeds], axis=0)
    photos = percentile_interval(resampled, LEVEL)
    if photos is None:
        return Estimate(value=value, low=None, high=None)
    is_difference = math.isclose(sum(weights.values()), 0.0, abs_tol=1e-9)
    spread, freedom = seed_spread(samples, within_seeds=is_difference)
    half = 0.0
    if freedom:
        error = spread * math.sqrt(sum(weight**2 for weight in weights.values()) / len(seeds))
        half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Estimate(
        value=value,
        low=value - math.hypot(value - photos[0], half),
        high=value + math.hypot(photos[1] - value, half),
    )


def seed_spread(samples: Samples, *, within_seeds: bool) -> tuple[float, int]:
    """Estimate the standard deviation from seed to seed, the same for all rows, and its freedom.

    Within seeds, what a seed does to all rows alike is left out, as it is in a difference. Both are
    0 where no row has two seeds.
    """
    cells = [
        (row, seed, sample[0])
        for row, of_row in samples.items()
        for seed, sample in of_row.items()
        if len(of_row) > 1
    ]
    if not cells:
        return 0.0, 0
    design = [_indicators([row for row, _, _ in cells])]
    if within_seeds:
        design.append(_indicators([seed for _, seed, _ in cells]))
    effects = np.concatenate(design, axis=1)
    values = np.array([value for _, _, value in cells])
    fitted, _, rank, _ = np.linalg.lstsq(effects, values, rcond=None)
    freedom = len(cells) - int(rank)
    residuals = values - effects @ fitted
    return (float(math.sqrt(residuals @ residuals / freedom)), freedom) if freedom else (0.0, 0)


def effect_weights(part: str, keys: Mapping[str, str]) -> dict[str, float]:
    """Return the weights by which rows sum up to the mean effect of a part of ACNet.

    `keys` says which row stands for which of the paper's; pairs with one missing are left out.
    """
    pairs = [
        (keys[without.key], keys[with_part.key])
        for without, with_part in part_pairs(part)
        if without.key in keys and with_part.key in keys
    ]
    weights: dict[str, float] = {}
    for without, with_part in pairs:
        weights[without] = weights.get(without, 0.0) - 1 / len(pairs)
        weights[with_part] = weights.get(with_part, 0.0) + 1 / len(pairs)
    return {row: weight for row, weight in weights.items() if weight}


def paper_effect(part: str) -> float:
    """Return the mean effect of a part in the paper, in mAP."""
    gains = [pair[1].map_percent - pair[0].map_percent for pair in part_pairs(part)]
    return sum(gains) / len(gains)


class Measured:
    """Which row has which records.

    A row without records of its own takes those of a row that is the same model: Table III's L2-L4
    with DCE is Table II's (h).

    All records are of one data set and comparable with each other; one of a config that has changed
    since is refused.
    """

    def __init__(self, rows: Sequence[Row], records: Sequence[Record]):
        self.rows = tuple(rows)
        self.records = tuple(records)
        known = known_rows(rows[0].data) if rows else []
        self._known = {(row.table, row.key, row.form) for row in known}
        self._of_row = {row: self._find(row) for row in rows}
        # Alike in all records, or the first ones' where some lack a set.
        self.tests = tuple(records[0].content["tests"]) if records else ()
        # Those of `RESAMPLED` that a record has; older ones have no counts.
        self.numbers = tuple(
            key for key in RESAMPLED if any(record.value(self.tests[0], key) for record in records)
        )
        self.is_of_equal_time = bool(records) and "seconds" in records[0].settings

    def of(self, row: Row) -> dict[int, Record]:
        """Return the records of a row, by seed."""
        return self._of_row[row]

    def find(self, table: int, key: str, form: str) -> Row | None:
        """Find the row that stands for one of the paper's.

        A row that has no twin in a form, be it among the rows or not, is the same in both.

        It is None where that row is not among the rows.
        """
        tables = (4, 1) if table == 4 else (table,)
        tables += (2,) if key == "acnet" and table in (1, 4) else ()
        for wanted in filter(None, (form, TWINS.get(form))):
            for one in tables:
                for row in self.rows:
                    if (row.table, row.key, row.form) == (one, key, wanted):
                        return row
                if (one, key, wanted) in self._known:
                    return None
        return None

    def samples(self, rows: Iterable[Row], test: str, key: str) -> Samples:
        """Collect a number of several rows on a set, with its replicates.

        Rows without records are left out; the number is one of `RESAMPLED`.
        """
        column = list(RESAMPLED).index(key)
        found: dict[str, dict[int, Sample]] = {}
        for row in rows:
            for seed, record in self._of_row[row].items():
                value = record.value(test, key) if test in record.content["tests"] else None
                if value is not None:
                    sample = (value, record.replicates[test][:, column])
                    found.setdefault(row.config, {})[seed] = sample
        return found

    def value(self, row: Row, pool: Iterable[Row], test: str, key: str) -> Estimate | None:
        """Estimate a number of a row, the spread between seeds pooled over some rows."""
        return estimate(self.samples(pool, test, key), {row.config: 1.0})

    def gain(self, row: Row, pool: Iterable[Row], test: str, key: str) -> Estimate | None:
        """Estimate a row's gain over the baseline; None where it has the baseline's records."""
        base = baseline_of(self.rows, row.form)
        if base is None or self.of(base) == self.of(row):
            return None
        pool = dict.fromkeys([base, *pool])
        return estimate(self.samples(pool, test, key), {row.config: 1.0, base.config: -1.0})

    def _find(self, row: Row) -> dict[int, Record]:
        if not self.records:
            return {}
        model = model_settings(load_config(row.config, self.records[0].settings["overrides"]))
        own = {record.seed: record for record in self.records if record.row == row.config}
        for record in own.values():
            names = (f"the config {row.config}", f"the record {record.path}")
            check_equal(model, record.content["model"], names)
        alike = [record for record in self.records if record.content["model"] == model]
        return own or {record.seed: record for record in alike}


def _weighted(
    samples: Samples, weights: Mapping[str, float], seed: int, part: int
) -> float | np.ndarray:
    return sum(weight * samples[row][seed][part] for row, weight in weights.items())


def _indicators(names: Sequence[str | int]) -> np.ndarray:
    """Return (number of names, number of different ones), 1 where a name is that one."""
    order = sorted(set(names))
    return (np.array(names)[:, None] == np.array(order)).astype(float)
