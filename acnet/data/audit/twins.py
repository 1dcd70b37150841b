"""Photos that are there twice, as the same file or as nearly the same picture, and in which splits.

A twin in another part lets a network recognise what it is tested on. ACNE04 has 38 pairs of the
same file, some with different boxes.
"""

import collections
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from acnet.data.audit.examination import HASH_BITS, NearPair, Photo, near_pairs
from acnet.data.audit.findings import Finding, grade_of
from acnet.data.records import Annotated

# The order in which photos are worth keeping: a photo in a later part is taken out of the earlier.
TRAINING, VALIDATION, TEST = range(3)
ROLES = {
    **dict.fromkeys(("train", "training", "trainval"), TRAINING),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
WORD = re.compile(r"[^\W\d_]+|\d+")  # of a split's name


def disjoint_splits(splits: Iterable[str]) -> list[tuple[str, str]]:
    """Pair the splits between which a shared photo makes results look better than they are.

    Pairs are (weaker, stronger), sorted: training before validation before test. Splits of unknown
    role are left out; those of different folds, which differ in a number or, where both have more
    of them, in another word, share photos as they should.
    """
    parsed = [(_role_and_rest(name), name) for name in splits]
    known = [(found, name) for found, name in parsed if found]
    return sorted(
        (weaker, stronger)
        for (weak, weaker), (strong, stronger) in itertools.permutations(known, 2)
        if ROLES[weak[0]] < ROLES[strong[0]]
        and weak[2] == strong[2]
        and (weak[1] == strong[1] or not (weak[1] and strong[1]))
        # VOC's trainval is train and val together.
        and not (weak[0] == "trainval" and strong[0].startswith("val"))
    )


def _role_and_rest(split: str) -> tuple[str, list[str], list[str]] | None:
    """Return a split's role, other words and numbers; None where no word or several are roles."""
    parts = WORD.findall(split.lower().replace("fold", " "))
    roles = [part for part in parts if part in ROLES]
    rest = [part for part in parts if part not in ROLES]
    words = [part for part in rest if not part.isdigit()]
    numbers = [part for part in rest if part.isdigit()]
    return (roles[0], words, numbers) if len(roles) == 1 else None


# Chosen on 1.1 million pairs of unrelated generated photos, of which the closest within 10 bits
# correlated by less than 0.8, and on real photos and their augmented copies; docs/data.md.
MAX_DIFFERING_BITS = 8
MIN_CORRELATION = 0.9
SHOWN_LEAKS = 4


@dataclass(frozen=True)
class Twins:
    """Photos that must stay together."""

    file_names: tuple[str, ...]  # at least two, sorted
    # Those that look alike, by file name, each sorted; none where `identical`.
    pairs: tuple[tuple[str, str], ...]
    identical: bool  # the files are equal in every byte
    detail: str = ""  # how alike they are


def find_twins(photos: Sequence[Photo]) -> list[Twins]:
    """Find identical files, and photos that look nearly the same; each sorted.

    Unreadable photos are compared by their bytes only. A group of near twins is connected by its
    pairs, and holds at least two different files.
    """
    by_hash = collections.defaultdict(list)
    for photo in photos:
        if photo.sha256:
            by_hash[photo.sha256].append(photo.file_name)
    identical = sorted(tuple(sorted(names)) for names in by_hash.values() if len(names) > 1)
    groups = [Twins(names, (), True) for names in identical]

    seen = [photo for photo in photos if photo.looks is not None]
    pairs = near_pairs(
        [photo.looks for photo in seen],
        max_differing_bits=MAX_DIFFERING_BITS,
        min_correlation=MIN_CORRELATION,
    )
    names = [photo.file_name for photo in seen]
    alike = {
        tuple(sorted((names[pair.first], names[pair.second]))): pair
        for pair in pairs
        if seen[pair.first].sha256 != seen[pair.second].sha256
    }
    return groups + _near_groups(alike)


def twin_groups(photos: Sequence[Photo]) -> list[tuple[str, ...]]:
    """Return sorted groups of photos that a split must not tear apart; no photo is in two."""
    groups = (twins.file_names for twins in find_twins(photos))
    return connected((names[0], other) for names in groups for other in names)


def check_twins(
    twins: Iterable[Twins], photos: Sequence[Photo], splits: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Report twins, those that straddle parts, and those that are labelled differently."""
    annotated = {photo.file_name: photo.annotated for photo in photos}
    members = {split: set(names) for split, names in splits.items()}
    for group in twins:
        first, others = group.file_names[0], group.file_names[1:]
        alike = "identical" if group.identical else "nearly identical"
        yield Finding(f"{alike} photos", first, group.detail, len(group.file_names), others)
        across = straddling(group, members)
        if across:
            names = sorted({name for leak in across for name in (leak.file_name, leak.twin)})
            detail = "; ".join(map(str, across[:SHOWN_LEAKS]))
            if len(across) > SHOWN_LEAKS:
                detail += f"; and {len(across) - SHOWN_LEAKS} more"
            yield Finding(f"{alike} across parts", names[0], detail, len(across), tuple(names[1:]))
        labels = [annotated[name] for name in group.file_names if annotated[name] is not None]
        conflict = _conflict(labels, exact=group.identical)
        if conflict:
            yield Finding("twins labelled differently", first, conflict, 1, others)


@dataclass(frozen=True)
class Leak:
    """A photo that ought to leave a part, because its twin is in a part that must not know it.

    The twin has the same name where one file is in both parts.
    """

    file_name: str
    split: str  # the weaker part, such as training
    twin: str
    twin_split: str  # the stronger part, such as test

    def __str__(self) -> str:
        return f"{self.file_name} in {self.split}, {self.twin} in {self.twin_split}"


def straddling(group: Twins, members: Mapping[str, set[str]]) -> list[Leak]:
    """Find what of a group lies on both sides of a split: each photo of the weaker with a twin."""
    neighbours = collections.defaultdict(list)
    for pair in group.pairs:
        for name, twin in (pair, pair[::-1]):
            neighbours[name].append(twin)
    leaks = []
    for weaker, stronger in disjoint_splits(members):
        for name in group.file_names:
            twins = group.file_names if group.identical else neighbours[name]
            known = (twin for twin in twins if twin != name and twin in members[stronger])
            twin = next(known, None) if name in members[weaker] else None
            if twin is not None:
                leaks.append(Leak(name, weaker, twin, stronger))
    return leaks


def shared_photos(splits: Mapping[str, Sequence[str]]) -> list[Leak]:
    """Return, sorted, each photo that two parts list although they must not share any."""
    return [
        Leak(name, weaker, name, stronger)
        for weaker, stronger in disjoint_splits(splits)
        for name in sorted(set(splits[weaker]) & set(splits[stronger]))
    ]


def connected(edges: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Join pairs that share a member to sorted groups of at least two names."""
    group_of: dict[str, set[str]] = {}
    for a, b in edges:
        small, large = sorted((group_of.setdefault(a, {a}), group_of.setdefault(b, {b})), key=len)
        large |= small
        group_of.update(dict.fromkeys(small, large))
    groups = {id(names): names for names in group_of.values()}
    return sorted(tuple(sorted(names)) for names in groups.values() if len(names) > 1)


def _near_groups(alike: Mapping[tuple[str, str], NearPair]) -> list[Twins]:
    members = connected(alike)
    group_of = {name: index for index, names in enumerate(members) for name in names}
    pairs_of = [[] for _ in members]
    for pair in sorted(alike):
        pairs_of[group_of[pair[0]]].append(pair)
    groups = []
    for names, pairs in zip(members, pairs_of, strict=True):
        bits = max(alike[pair].differing_bits for pair in pairs)
        correlation = min(alike[pair].correlation for pair in pairs)
        mirrored = sum(alike[pair].mirrored for pair in pairs)
        detail = f"at most {bits} of {HASH_BITS} bits differ, "
        detail += f"correlation at least {correlation:.3f}"
        if mirrored:
            detail += f", {mirrored} of {len(pairs)} pairs mirrored"
        groups.append(Twins(names, tuple(pairs), False, detail))
    return groups


def _conflict(labels: Sequence[Annotated], *, exact: bool) -> str:
    """Say in what twins differ; empty where they agree, or where less than two are annotated.

    The boxes of near twins move with the picture, so only their number is compared.
    """
    grades = [grade_of(photo) for photo in labels]
    counts = [len(photo.boxes_xyxy) for photo in labels]
    said = [f"grades {' and '.join(map(str, grades))}"] if len(set(grades)) > 1 else []
    if len(set(counts)) > 1:
        said.append(f"{' and '.join(map(str, counts))} boxes")
    elif exact and len({_box_set(photo) for photo in labels}) > 1:
        said.append("other boxes or names")
    return ", ".join(said)


def _box_set(photo: Annotated) -> tuple:
    rows = zip(photo.names, photo.boxes_xyxy.tolist(), strict=True)
    return tuple(sorted((name, *map(repr, box)) for name, box in rows))
