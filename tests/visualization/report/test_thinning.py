"""Thinning keeps what a figure shows."""

import numpy as np

from acnet.visualization.report.thinning import thin


def test_each_column_keeps_its_first_lowest_highest_and_last_point():
    # Two columns of five points each. Of the first (x below 5): first 0, lowest 1, highest 3,
    # last 4; of the second: first 5 is the lowest too, highest 8, last 9.
    x = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 10])
    y = np.array([5, 1, 4, 9, 6, 0, 2, 3, 7, 5])
    kept_x, kept_y = thin(x, y, columns=2)
    assert kept_x.tolist() == [0, 1, 3, 4, 5, 8, 10]
    assert kept_y.tolist() == [5, 1, 9, 6, 0, 7, 5]


def test_few_points_are_all_kept():
    x, y = np.arange(8.0), np.arange(8.0)
    assert thin(x, y, columns=2)[0] is x


def test_long_curve_becomes_short_and_keeps_its_extremes():
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(size=75_000)), rng.uniform(size=75_000)
    kept_x, kept_y = thin(x, y)
    assert 400 < len(kept_x) <= 4 * 400
    assert (kept_x[0], kept_x[-1]) == (x[0], x[-1])
    assert (kept_y.min(), kept_y.max()) == (y.min(), y.max())
    for column in range(400):  # the slow way: what is highest in a column stays
        low, high = x[0] + (x[-1] - x[0]) * np.array([column, column + 1]) / 400
        inside = (x >= low + 1e-9) & (x < high - 1e-9)
        assert y[inside].max() in kept_y


def test_line_that_goes_straight_up_is_one_column():
    x, y = np.full(100, 0.5), np.arange(100.0)
    assert thin(x, y, columns=3)[1].tolist() == [0, 99]


def test_no_points_stay_none():
    assert [len(values) for values in thin(np.zeros(0), np.zeros(0))] == [0, 0]
