"""Estimates, their intervals, and what a part adds as pairs of rows."""

import math

import numpy as np
import pytest
from scipy import stats

from projects.ACNet.tables.estimates import effect_weights, estimate, paper_effect, seed_spread
from projects.ACNet.tables.rows import PAPER_ROWS, PARTS

GAIN = {"b": 1.0, "a": -1.0}


def samples(values: dict[str, list[float]], spread: float = 0.0) -> dict:
    """Numbers by row and seed; the replicates of all are shifted by the same drawn photos."""
    drawn = spread * np.random.default_rng(0).normal(size=500)
    return {
        row: {seed: (value, value + drawn) for seed, value in enumerate(of_row, start=1)}
        for row, of_row in values.items()
    }


def test_a_gain_of_two_rows_is_the_paired_t_interval():
    """Gains 1, 2 and 6: mean 3, standard deviation sqrt(7); half-width 4.303 sqrt(7 / 3)."""
    gain = estimate(samples({"a": [10, 20, 30], "b": [11, 22, 36]}), GAIN)
    assert gain.value == pytest.approx(3.0)
    half = 4.3027 * math.sqrt(7 / 3)
    assert (gain.low, gain.high) == pytest.approx((3 - half, 3 + half), abs=1e-3)
    # Without a common seed there is none.
    alone = {"a": {1: (1.0, np.ones(3))}, "b": {2: (1.0, np.ones(3))}}
    for of_rows in ({}, samples({"a": [1.0]}), alone):
        assert estimate(of_rows, GAIN) is None
    assert seed_spread({}, within_seeds=True) == (0.0, 0)


def test_a_mean_of_gains_varies_less_than_one():
    """Spread s of each row: a gain of one pair varies by s sqrt(2), the mean of two by s."""
    rng = np.random.default_rng(2)
    of_rows = samples({name: rng.normal(size=3).tolist() for name in "abcd"})
    spread, freedom = seed_spread(of_rows, within_seeds=True)
    mean = estimate(of_rows, {"b": 0.5, "a": -0.5, "d": 0.5, "c": -0.5})
    half = stats.t.ppf(0.975, freedom) * spread / math.sqrt(3)
    assert mean.high - mean.value == pytest.approx(half)
    one = estimate(of_rows, GAIN)
    assert one.high - one.value == pytest.approx(half * math.sqrt(2))


def test_what_a_seed_does_to_all_rows_leaves_a_gain_alone():
    """Rows that differ by exactly 5 with every seed have a gain without spread between seeds."""
    of_rows = samples({"a": [10, 20, 30], "b": [15, 25, 35]})
    assert seed_spread(of_rows, within_seeds=True) == (pytest.approx(0.0, abs=1e-9), 2)
    spread, freedom = seed_spread(of_rows, within_seeds=False)  # each row varies by 10
    assert (spread, freedom) == (pytest.approx(10.0), 4)
    # More rows give more degrees of freedom, and a seed that is still missing takes one.
    rows = {name: np.random.default_rng(1).normal(size=3).tolist() for name in "abcdefghi"}
    assert seed_spread(samples(rows), within_seeds=True)[1] == 8 * 2
    rows["i"] = rows["i"][:2]
    assert seed_spread(samples(rows), within_seeds=True)[1] == 8 * 2 - 1


def test_photos_and_seeds_add_as_squares():
    of_rows = samples({"a": [10.0, 20.0], "b": [11.0, 23.0]})
    drawn = {"a": np.zeros(2001), "b": np.linspace(-1, 1, 2001)}  # 95 % of it within 0.95
    for row, of_row in of_rows.items():
        of_rows[row] = {seed: (value, value + drawn[row]) for seed, (value, _) in of_row.items()}
    gain = estimate(of_rows, GAIN)
    seeds = 12.7062 * math.sqrt(2 / 2)  # gains 1 and 3: standard deviation sqrt(2), two seeds
    assert gain.high - gain.value == pytest.approx(math.hypot(0.95, seeds), abs=1e-3)


def test_one_seed_has_an_interval_over_photos_alone():
    one = samples({"a": [10.0], "b": [12.0]}, spread=1.0)
    found, ends = estimate(one, {"a": 1.0}), np.percentile(one["a"][1][1], [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx(ends, abs=0.1)
    gain = estimate(one, GAIN)
    assert gain.low == gain.high == pytest.approx(2.0)  # the photos do the same to both
    assert gain.is_clear


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """A gain of 1 under 3 seeds and 60 photos: errors of seeds, of photos, and of both together."""
    rng = np.random.default_rng(7)
    hits, trials = 0, 400
    for _ in range(trials):
        photos = {row: rng.normal(0, 4, 60) for row in "ab"}
        weights = rng.multinomial(60, np.full(60, 1 / 60), size=200) / 60
        of_rows: dict = {}
        for row, truth in {"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.0}.items():
            for seed in (1, 2, 3):
                scores = truth + photos.get(row, 0.0) + rng.normal(0, 0.5) + rng.normal(0, 1, 60)
                of_rows.setdefault(row, {})[seed] = (scores.mean(), weights @ scores)
        gain = estimate(of_rows, GAIN)
        hits += gain.low <= 1.0 <= gain.high
    assert 0.92 <= hits / trials <= 0.985


KEYS = {row.key: row.key for row in PAPER_ROWS if row.table == 2}


def test_weights_of_dce_by_hand():
    """(d - b + f - c + h - g) / 3."""
    plus, minus = ("cb_dce", "cb_frm_dce", "acnet"), ("cb", "cb_frm", "cb_frm_mama")
    expected = {**dict.fromkeys(plus, 1 / 3), **dict.fromkeys(minus, -1 / 3)}
    assert effect_weights("DCE", KEYS) == pytest.approx(expected)
    # MAMA: (e - b + g - c + h - f) / 3, of which only g - c is left here.
    keys = {key: key for key in ("cb_frm", "cb_frm_mama", "cb")}
    assert effect_weights("MAMA", keys) == {"cb_frm": -1.0, "cb_frm_mama": 1.0}
    assert effect_weights("MAMA", {}) == {}


@pytest.mark.parametrize("part", PARTS)
def test_weights_sum_to_nothing_and_give_the_papers_mean_gain(part):
    weights = effect_weights(part, KEYS)
    maps = {row.key: row.map_percent for row in PAPER_ROWS if row.table == 2}
    assert sum(weights.values()) == pytest.approx(0.0)
    assert sum(w * maps[key] for key, w in weights.items()) == pytest.approx(paper_effect(part))
