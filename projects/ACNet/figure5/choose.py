"""Which photos Fig. 5 shows: by a rule that is fixed before anybody looks, in both directions.

NOT IN PAPER: how its five photos were chosen. Photos chosen by hand show what the chooser likes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acnet.evaluation.result import PhotoRow


@dataclass(frozen=True)
class Chosen:
    """Photos of one group, as indices.

    Args:
        gains: where the second model makes the fewest errors against the first; largest gain first.
        losses: where it makes the most more; largest loss first.
        random: drawn from the others, in the order of the ground truth.
    """

    gains: tuple[int, ...]
    losses: tuple[int, ...]
    random: tuple[int, ...]


def choose(
    first: Sequence[PhotoRow], second: Sequence[PhotoRow], *, each: int, seed: int
) -> Chosen:
    """Chooses photos by how much two models differ, and some by chance.

    Args:
        first: of the model that is compared against, a row a photo.
        second: of the other model, the same photos in the same order.
        each: how many of each group, where there are so many.
        seed: of the chance.

    Returns:
        No photo twice. Of equal differences the earlier photo is taken.
    """
    gain = gains(first, second)
    order = np.argsort(-gain, kind="stable")
    up = order[gain[order] > 0][:each]
    order = np.argsort(gain, kind="stable")
    down = order[gain[order] < 0][:each]
    rest = np.setdiff1d(np.arange(len(gain)), np.concatenate([up, down]))
    rng = np.random.default_rng(seed)
    random = np.sort(rng.choice(rest, min(each, len(rest)), replace=False))
    return Chosen(*(tuple(map(int, group)) for group in (up, down, random)))


def gains(first: Sequence[PhotoRow], second: Sequence[PhotoRow]) -> np.ndarray:
    """Returns how many errors (false alarms and missed lesions) fewer the second model makes.

    Args:
        first: a row a photo.
        second: the same photos in the same order.

    Returns:
        (P,) whole numbers, negative where it makes more.
    """
    errors = [[row.false + row.missed for row in rows] for rows in (first, second)]
    return np.subtract(*np.array(errors, dtype=np.int64).reshape(2, -1))


def changes(gain: np.ndarray) -> dict[str, int]:
    """Counts the photos on which the second model makes fewer, more, or as many errors.

    Args:
        gain: of `gains`.

    Returns:
        Photos by "fewer", "more" and "equal".
    """
    return {
        "fewer": int((gain > 0).sum()),
        "more": int((gain < 0).sum()),
        "equal": int((gain == 0).sum()),
    }
