"""Curves of many points, reduced to those that a figure can show."""

import numpy as np


def thin(x: np.ndarray, y: np.ndarray, *, columns: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Keep the first, lowest, highest and last point of each column of the figure.

    A line through these covers the same pixels as the line through all points.

    Args:
        x: (N,) rising, or equal.
        y: (N,).
        columns: Of the figure, between the first and the last x.

    Returns:
        At most 4 * columns of the points, in their order; all of them where they are not more.

    Reference: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", 2014.
    """
    if len(x) <= 4 * columns:
        return x, y
    span = x[-1] - x[0]
    column = np.zeros(len(x), np.int64)
    if span > 0:
        column = np.minimum(((x - x[0]) / span * columns).astype(np.int64), columns - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    # Sorted by column, then y: the first of each column is its lowest point, the last its highest.
    by_height = np.lexsort((y, column))
    kept = np.unique(np.concatenate([starts, ends, by_height[starts], by_height[ends]]))
    return x[kept], y[kept]
