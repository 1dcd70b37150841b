"""Which splits of a data set must not share photos."""

import itertools
import re
from collections.abc import Iterable

# The order in which photos are worth keeping: a photo in a later part is taken out of the earlier.
TRAINING, VALIDATION, TEST = range(3)
ROLES = {
    "train": TRAINING,
    "training": TRAINING,
    "trainval": TRAINING,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
SPLIT_NAME = re.compile(r"([a-z]+?)(?:[-_]?(?:fold)?[-_]?(\d+))?")


def disjoint_splits(splits: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs the splits between which a shared photo makes results look better than they are.

    Args:
        splits: names such as "train", "valid2007" or "trainval_0"; those whose role is unknown are
            left out. Splits of different folds share photos as they should.

    Returns:
        Pairs (weaker, stronger), sorted: training before validation before test.
    """
    known = [(*parsed, name) for name in sorted(splits) if (parsed := _parse(name)) is not None]
    pairs = [
        (a, b) if role_a < role_b else (b, a)
        for (fold_a, role_a, a), (fold_b, role_b, b) in itertools.combinations(known, 2)
        if fold_a == fold_b and role_a != role_b
    ]
    return sorted(pair for pair in pairs if not _contains(*pair))


def _parse(name: str) -> tuple[str, int] | None:
    match = SPLIT_NAME.fullmatch(name.lower())
    if not match or match[1] not in ROLES:
        return None
    return match[2] or "", ROLES[match[1]]


def _contains(weaker: str, stronger: str) -> bool:
    """VOC's trainval is train and val together."""
    return weaker.lower().startswith("trainval") and stronger.lower().startswith("val")
