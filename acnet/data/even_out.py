"""Exchanges between parts until no single one makes their shares more even."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

MAX_EXCHANGES = 100
MAX_CANDIDATES = 200  # of each part: enough choice, and bounded work for large sets


def even_out(
    parts: Mapping[str, Sequence[tuple[int, ...]]],
    shares: Mapping[str, float],
    scale: Sequence[float],
) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """Looks for pairs of groups to exchange; each time for the pair that helps most.

    Args:
        parts: (F,) features of each group, by part; the last ones of a part are the candidates.
        shares: of the parts, with a sum of 1.
        scale: (F,) weights of the squared differences.

    Returns:
        Pairs of (part, index in it) that change places, to be done in this order.
    """
    features = {part: np.array(rows, dtype=np.float64) for part, rows in parts.items()}
    total = sum(rows.sum(axis=0) for rows in features.values())
    excess = {part: rows.sum(axis=0) - shares[part] * total for part, rows in features.items()}
    start = {part: max(0, len(rows) - MAX_CANDIDATES) for part, rows in features.items()}
    done = []
    for _ in range(MAX_EXCHANGES):
        best = None
        for a, b in itertools.combinations(features, 2):
            rows_a, rows_b = features[a][start[a] :], features[b][start[b] :]
            change = _change(rows_a, rows_b, (excess[a], excess[b]), (shares[a], shares[b]), scale)
            i, j = np.unravel_index(change.argmin(), change.shape)
            if change[i, j] < -1e-12 and (best is None or change[i, j] < best[0]):
                best = change[i, j], (a, start[a] + int(i)), (b, start[b] + int(j))
        if best is None:
            break
        _, (a, i), (b, j) = best
        moved = features[b][j] - features[a][i]
        excess[a], excess[b] = excess[a] + moved, excess[b] - moved
        features[a][i], features[b][j] = features[b][j].copy(), features[a][i].copy()
        done.append(((a, i), (b, j)))
    return done


def _change(
    rows_a: np.ndarray,
    rows_b: np.ndarray,
    excess: tuple[np.ndarray, np.ndarray],
    shares: tuple[float, float],
    scale: Sequence[float],
) -> np.ndarray:
    """(N, M) how much the sum of squares grows if group i of one part and j of the other swap."""
    change = np.zeros((len(rows_a), len(rows_b)))
    for f, factor in enumerate(scale):  # one by one: the order of additions is the same everywhere
        moved = rows_b[None, :, f] - rows_a[:, None, f]
        change += factor * (2.0 * excess[0][f] * moved + moved**2) / shares[0]
        change += factor * (moved**2 - 2.0 * excess[1][f] * moved) / shares[1]
    return change
