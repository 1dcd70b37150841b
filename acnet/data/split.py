"""Seeded splits that keep together what belongs together, and balance photos, boxes and grades.

A photo, its copies and its augmented versions must be in one part, or a test is no test. The result
depends on names, contents and the seed only, never on the order of files or the machine.

Shape shorthand: F features of a group, which every part gets its share of.
"""

import collections
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acnet.data.audit.examination import Photo
from acnet.data.audit.statistics import grade_of
from acnet.data.audit.twins import connected, twin_groups
from acnet.errors import UserError

# A part's share of the photos is kept before its share of the boxes or of a grade.
PHOTO_WEIGHT = 10.0


@dataclass(frozen=True)
class Group:
    """Photos that stay together.

    Args:
        file_names: at least one, sorted.
        features: (F,) what the group adds to its part: photos, boxes, then photos of each stratum.
    """

    file_names: tuple[str, ...]
    features: tuple[int, ...]


def make_groups(
    photos: Sequence[Photo], given: Mapping[str, str], *, by_grade: bool = False
) -> list[Group]:
    """Join twins, and photos of one given group.

    Args:
        photos: usable ones, of the whole set.
        given: the user's group by file name, such as the patient; photos without one are alone.
        by_grade: balance the grades too.

    Returns:
        The groups in order of their first file names; each photo is in one.
    """
    annotated = {photo.file_name: photo.annotated for photo in photos}
    same = collections.defaultdict(list)
    for name in sorted(annotated):
        if name in given:
            same[given[name]].append(name)
    edges = [(names[0], other) for names in same.values() for other in names[1:]]
    edges += [(names[0], other) for names in twin_groups(photos) for other in names[1:]]
    joined = connected(edges)
    alone = set(annotated) - {name for names in joined for name in names}
    strata = sorted({grade_of(photo) for photo in annotated.values()}) if by_grade else []
    groups = []
    for names in sorted([*joined, *((name,) for name in alone)]):
        members = [annotated[name] for name in names]
        grades = collections.Counter(map(grade_of, members))
        boxes = sum(len(photo.boxes_xyxy) for photo in members)
        features = (len(members), boxes, *(grades[grade] for grade in strata))
        groups.append(Group(names, features))
    return groups


def deal(groups: Sequence[Group], shares: Mapping[str, float], seed: int) -> dict[str, list[Group]]:
    """Deal groups to parts, so that every part gets its share of everything.

    Large groups come first, while there is room to make up for them, equal ones in an order drawn
    by the seed. Each goes to the part that leaves the shares least uneven.

    Args:
        groups: to deal; their order does not matter.
        shares: of the parts, positive, with a sum of 1.
        seed: another one gives another split.

    Returns:
        The groups of each part, in order of their first file names.

    Raises:
        UserError: there are fewer groups than parts, or a part would stay empty.
    """
    ordered = sorted(groups, key=_dealing_order(seed))
    totals = [sum(values) for values in zip(*(group.features for group in groups), strict=True)]
    scale = [(PHOTO_WEIGHT if f == 0 else 1.0) / max(t, 1) ** 2 for f, t in enumerate(totals)]
    dealt: dict[str, list[Group]] = {part: [] for part in shares}
    have = {part: [0] * len(totals) for part in shares}
    sums = [0] * len(totals)
    for group in ordered:
        sums = [total + value for total, value in zip(sums, group.features, strict=True)]
        costs = {part: _cost(have, part, group, shares, sums, scale) for part in shares}
        best = min(shares, key=costs.__getitem__)  # the first of equal ones
        dealt[best].append(group)
        have[best] = [h + value for h, value in zip(have[best], group.features, strict=True)]
    _check_filled(dealt, groups)
    return {part: sorted(members, key=_first_name) for part, members in dealt.items()}


def fold_parts(groups: Sequence[Group], folds: int, seed: int) -> dict[str, list[str]]:
    """Deal groups to folds of equal size.

    Args:
        groups: to deal.
        folds: how many, at least 2.
        seed: another one gives another split.

    Returns:
        Sorted file names by split: `test_K` is fold K, `trainval_K` all others.
    """
    dealt = deal(groups, {str(fold): 1.0 / folds for fold in range(folds)}, seed)
    parts = {}
    for fold in dealt:
        others = [group for other, members in dealt.items() if other != fold for group in members]
        parts[f"trainval_{fold}"] = names_of(others)
        parts[f"test_{fold}"] = names_of(dealt[fold])
    return parts


def names_of(groups: Sequence[Group]) -> list[str]:
    """Return the sorted file names of groups."""
    return sorted(name for group in groups for name in group.file_names)


def _check_filled(dealt: Mapping[str, Sequence[Group]], groups: Sequence[Group]) -> None:
    empty = [part for part, members in dealt.items() if not members]
    if empty:
        raise UserError(
            f"Every part needs at least one photo. Received {len(groups)} groups of photos that "
            f"belong together, which leave {', '.join(empty)} empty. Ask for fewer or larger parts."
        )


def _cost(
    have: Mapping[str, Sequence[int]],
    chosen: str,
    group: Group,
    shares: Mapping[str, float],
    sums: Sequence[int],
    scale: Sequence[float],
) -> float:
    """How far all parts are from their shares of what is dealt, if the group goes to `chosen`.

    Squared differences over shares, as in a chi-square test. `fsum` rounds once, so that the order
    in which a machine adds cannot decide between two parts.
    """
    return math.fsum(
        factor * (h + (value if part == chosen else 0) - share * total) ** 2 / share
        for part, share in shares.items()
        for h, value, total, factor in zip(have[part], group.features, sums, scale, strict=True)
    )


def _dealing_order(seed: int):
    """A key that sorts large groups first, and equal ones by a hash: the same on all machines."""

    def key(group: Group) -> tuple[int, bytes]:
        text = f"{seed}:{group.file_names[0]}"
        return -len(group.file_names), hashlib.sha256(text.encode()).digest()

    return key


def _first_name(group: Group) -> str:
    return group.file_names[0]
