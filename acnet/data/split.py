"""Seeded splits that keep together what belongs together, and balance photos, boxes and grades.

A photo, its copies and its augmented versions must be in one part, or a test is no test. The result
depends on names, contents and the seed only, never on the order of files or the machine.

A split is written as a COCO file for each part, and a table of what went where. Shape shorthand:
F features of a group, which every part gets its share of.
"""

import collections
import csv
import dataclasses
import hashlib
import io
import logging
import math
import operator
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tabulate import tabulate

from acnet.data.audit.data_audit import examine_all
from acnet.data.audit.examination import Photo
from acnet.data.audit.findings import grade_of
from acnet.data.audit.twins import connected, twin_groups
from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.safe_files import read_text
from acnet.data.readers.source import Source
from acnet.data.records import Note
from acnet.errors import UserError, shorten, shown
from acnet.file_names import match_names
from acnet.files import write_csv

# A part's share of the photos is kept before its share of the boxes or of a grade.
PHOTO_WEIGHT = 10.0


@dataclass(frozen=True)
class Group:
    """Photos that stay together, sorted."""

    file_names: tuple[str, ...]
    # (F,) what the group adds to its part: photos, boxes, then photos of each stratum.
    features: tuple[int, ...]


def make_groups(
    photos: Sequence[Photo], given: Mapping[str, str], *, by_grade: bool = False
) -> list[Group]:
    """Join twins, and photos of one `given` group, in order of their first file names.

    The photos are the usable ones of the whole set; those without a given group, such as the
    patient, are alone.
    """
    annotated = {photo.file_name: photo.annotated for photo in photos}
    same = collections.defaultdict(list)
    for name in annotated.keys() & given.keys():
        same[given[name]].append(name)
    together = [*same.values(), *twin_groups(photos)]
    joined = connected((names[0], other) for names in together for other in names)
    alone = set(annotated).difference(*joined)
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
    by the seed. Each goes to the part that leaves the shares, which are positive and sum to 1,
    least uneven.
    """

    def order(group: Group) -> tuple[int, bytes]:
        """Sort large groups first, and equal ones by a hash: the same on all machines."""
        text = f"{seed}:{group.file_names[0]}"
        return -len(group.file_names), hashlib.sha256(text.encode()).digest()

    totals = [sum(values) for values in zip(*(group.features for group in groups), strict=True)]
    scale = [(PHOTO_WEIGHT if f == 0 else 1.0) / max(t, 1) ** 2 for f, t in enumerate(totals)]
    dealt: dict[str, list[Group]] = {part: [] for part in shares}
    have = {part: [0] * len(totals) for part in shares}
    sums = [0] * len(totals)
    for group in sorted(groups, key=order):
        sums = [total + value for total, value in zip(sums, group.features, strict=True)]
        costs = {part: _cost(have, part, group, shares, sums, scale) for part in shares}
        best = min(shares, key=costs.__getitem__)  # the first of equal ones
        dealt[best].append(group)
        have[best] = [h + value for h, value in zip(have[best], group.features, strict=True)]
    _check_filled(dealt, groups)
    return {
        part: sorted(members, key=operator.attrgetter("file_names"))
        for part, members in dealt.items()
    }


def fold_parts(groups: Sequence[Group], folds: int, seed: int) -> dict[str, list[str]]:
    """Deal groups to folds of equal size: `test_K` is fold K, `trainval_K` all others."""
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


logger = logging.getLogger(__name__)

SHOWN_NAMES = 5
DELIMITERS = ",;\t"  # of a table's cells, as spreadsheets write them


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How to split."""

    shares: Mapping[str, float]  # of the parts by name, with a sum of 1
    folds: int | None = None  # how many folds to make instead of parts; None for parts
    seed: int = 0  # another one gives another split
    # A CSV file whose first column names photos, and the column whose equal values keep photos
    # together.
    group_table: tuple[Path, str] | None = None
    # Whose first group, found in the base names of files, keeps photos together.
    group_regex: str | None = None
    by_grade: bool = False  # balance the grades too
    workers: int = 1
    command: str = ""  # that repeats the split, for the manifest


def write_split(dst: Path, source: Source, options: SplitOptions) -> ImportedSet:
    """Deal the photos of a set and write a prepared set; the photos stay where they are."""
    layout = PreparedLayout.of_folder(dst)
    names = sorted({name for members in source.splits.values() for name in members})
    given = given_groups(names, options)
    photos = examine_all(source, workers=options.workers)
    usable = [photo for photo in photos if photo.annotated is not None]
    groups = make_groups(usable, given, by_grade=options.by_grade)
    if options.folds is None:
        dealt = deal(groups, options.shares, options.seed)
        parts = {part: names_of(members) for part, members in dealt.items()}
    else:
        parts = fold_parts(groups, options.folds, options.seed)
    left_out = [
        Note(f"photo left out: {photo.findings[0].kind}", photo.file_name)
        for photo in photos
        if photo.annotated is None
    ]
    arranged = dataclasses.replace(source, splits=parts, notes=[*source.notes, *left_out])
    how = ImportOptions(workers=options.workers, command=options.command)
    imported = import_set(arranged, layout, how)
    table = _table(parts, groups, usable, folds=options.folds is not None)
    write_csv(layout.folder / "parts.csv", table)
    return imported


def given_groups(names: Sequence[str], options: SplitOptions) -> dict[str, str]:
    """Read which photos the user wants to keep together: a group by file name, where it has one."""
    if options.group_regex is not None:
        return _groups_of_regex(names, options.group_regex)
    if options.group_table is not None:
        return _groups_of_table(names, *options.group_table)
    return {}


def parts_text(imported: ImportedSet) -> str:
    """Write how much each part holds, as a table."""
    rows = [
        (split, len(records), sum(len(record.boxes_xyxy) for record in records))
        for split, records in imported.splits.items()
    ]
    return tabulate(rows, headers=("part", "photos", "boxes")) + "\n"


def _groups_of_regex(names: Sequence[str], regex: str) -> dict[str, str]:
    expression = re.compile(regex)
    found = {name: expression.search(PurePosixPath(name).name) for name in names}
    matches = {name: match[1] for name, match in found.items() if match}
    groups = {name: _one_form(group) for name, group in matches.items() if group is not None}
    if not groups:
        raise UserError(
            "A group is what the first brackets of the expression find in a file's name. Received "
            f"{regex!r}, which fits none of {len(names)} photos, such as {names[0]}. Correct "
            "--group-regex."
        )
    if len(groups) < len(names):
        others = [name for name in names if name not in groups]
        logger.warning(
            "%d of %d photos do not fit --group-regex and are groups of their own: %s",
            *(len(others), len(names), _some(others)),
        )
    return groups


def _groups_of_table(names: Sequence[str], path: Path, column: str) -> dict[str, str]:
    column = _one_form(column)
    columns, rows = _read_table(path, column)
    if column not in columns[1:]:
        raise UserError(
            "A table of groups names the photos in its first column and has a column of groups. "
            f"Received {path} with the columns {', '.join(columns) or 'none'}, and the "
            f"wish for {column!r}. Correct the table or --group-by."
        )
    groups_of: dict[str, set[str]] = {}
    for row in rows:
        listed, group = row[0].strip(), _one_form(row[columns.index(column)])
        groups_of.setdefault(listed, set()).update([group] if group else [])
    matched = match_names(groups_of, names)
    groups = {
        name: min(groups_of[listed]) for listed, name in matched.found.items() if groups_of[listed]
    }
    missing = [name for name in names if name not in groups]
    unused = [listed for listed in groups_of if listed and listed not in matched.found]
    double = [listed for listed, found in groups_of.items() if len(found) > 1]
    faults = [
        f"{len(found)} {what}: {_some(found)}"
        for found, what in (
            (missing, f"of {len(names)} photos that it gives no group"),
            (unused if missing else [], "rows that name no photo, or not one photo"),
            (double, "photos with several groups"),
        )
        if found
    ]
    if faults:
        raise UserError(
            "A table of groups gives each photo one group, or photos of one patient would be in "
            f"two parts. Received {path} with {'; '.join(faults)}. Correct its columns "
            f"{columns[0]!r} and {column!r}; a photo of nobody else gets a group of its own."
        )
    if unused:
        logger.warning("%d rows of %s name no photo: %s", len(unused), path, _some(unused))
    return groups


def _read_table(path: Path, column: str) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table, whose cells commas, semicolons or tabs part."""
    text, tables = _table_text(path), []
    for delimiter in DELIMITERS:
        lines = csv.reader(
            io.StringIO(text, newline=None), delimiter=delimiter, skipinitialspace=True
        )
        try:
            header, *rows = list(filter(None, lines)) or [[]]
        except csv.Error as error:
            raise UserError(
                f"A table of groups is a CSV file. Received {path}, which cannot be read as such "
                f"({error}). Correct the table or --group-by."
            ) from error
        columns = list(map(_one_form, header))
        tables.append((columns, [row + [""] * (len(columns) - len(row)) for row in rows]))
        if column in columns[1:]:
            return tables[-1]
    return max(tables, key=lambda table: len(table[0]))  # of which the error lists the columns


def _one_form(text: str) -> str:
    """Return a text without spaces around it, in the form in which Windows writes its letters."""
    return unicodedata.normalize("NFC", text.strip())


def _some(names: Sequence[str]) -> str:
    return shorten(map(shown, names), SHOWN_NAMES)


def _table_text(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError as error:
        raise UserError(
            f"A table of groups is a CSV file. Received {path}, where there is none. "
            "Correct --group-by."
        ) from error


def _table(
    parts: Mapping[str, Sequence[str]],
    groups: Sequence[Group],
    photos: Sequence[Photo],
    *,
    folds: bool,
) -> Iterator[tuple]:
    """One line a photo; of folds that which tests it, since all others train on it."""
    counted = [part for part in parts if not folds or part.startswith("test_")]
    part_of = {name: part for part in counted for name in parts[part]}
    group_of = {name: group.file_names[0] for group in groups for name in group.file_names}
    yield ("file_name", "part", "group", "boxes", "grade")
    for photo in photos:
        name, boxes = photo.file_name, len(photo.annotated.boxes_xyxy)
        yield (name, part_of[name], group_of[name], boxes, grade_of(photo.annotated))
