"""What each part of ACNet adds: all pairs of rows that differ in this part alone."""

import itertools
from collections.abc import Mapping

from acnet.tables.paper import PAPER_ROWS, PARTS, PaperRow

TABLE = 2


def part_pairs(part: str) -> list[tuple[PaperRow, PaperRow]]:
    """List the pairs of Table II that differ in one part.

    Args:
        part: of `PARTS`.

    Returns:
        Pairs of the row without it and the row with it.
    """
    rows = [row for row in PAPER_ROWS if row.table == TABLE]
    return [
        (without, with_part)
        for without, with_part in itertools.product(rows, rows)
        if part not in without.parts and {*without.parts, part} == set(with_part.parts)
    ]


def effect_weights(part: str, keys: Mapping[str, str]) -> dict[str, float]:
    """Return the weights by which rows sum up to the mean effect of a part.

    Args:
        part: of `PARTS`.
        keys: which row stands for which of the paper's; pairs with one missing are left out.

    Returns:
        Weights by row; none where no pair is complete.
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
    """Return the mean effect of a part in the paper, in mAP.

    Args:
        part: of `PARTS`.
    """
    pairs = part_pairs(part)
    return sum(with_part.map_percent - without.map_percent for without, with_part in pairs) / len(
        pairs
    )


__all__ = ["PARTS", "effect_weights", "paper_effect", "part_pairs"]
