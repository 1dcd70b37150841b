"""Writing a split: a COCO file for each part, and a table of what went where."""

import csv
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tabulate import tabulate

from acnet.data.audit.data_audit import examine_all
from acnet.data.audit.examination import Photo
from acnet.data.audit.statistics import grade_of
from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.safe_files import read_text, shown
from acnet.data.readers.source import RearrangedSource, Source
from acnet.data.records import Note
from acnet.data.split import Group, deal, fold_parts, make_groups, names_of
from acnet.errors import UserError
from acnet.file_names import match_names
from acnet.files import write_text

logger = logging.getLogger(__name__)

TABLE = "parts.csv"
SHOWN_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How to split.

    Args:
        shares: of the parts by name, with a sum of 1.
        folds: how many folds to make instead of parts; None for parts.
        seed: another one gives another split.
        group_table: a CSV file whose first column names photos, and the column whose equal values
            keep photos together.
        group_regex: whose first group, found in the base names of files, keeps photos together.
        by_grade: balance the grades too.
        workers: processes.
        command: that repeats the split, for the manifest.
    """

    shares: Mapping[str, float]
    folds: int | None = None
    seed: int = 0
    group_table: tuple[Path, str] | None = None
    group_regex: str | None = None
    by_grade: bool = False
    workers: int = 1
    command: str = ""


def write_split(dst: Path, source: Source, options: SplitOptions) -> ImportedSet:
    """Deal the photos of a set and writes a prepared set; the photos stay where they are.

    Args:
        dst: folder of the set: missing, empty or an earlier one.
        source: whose own splits do not matter.
        options: how.

    Returns:
        The set as it was written.

    Raises:
        UserError: the groups cannot be read, a part would be empty, or the folder holds the source.
    """
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
    arranged = RearrangedSource(source, parts, [*source.notes, *_left_out(photos)])
    how = ImportOptions(workers=options.workers, command=options.command)
    imported = import_set(arranged, layout, how)
    write_text(
        layout.folder / TABLE, _table(parts, groups, usable, folds=options.folds is not None)
    )
    return imported


def given_groups(names: Sequence[str], options: SplitOptions) -> dict[str, str]:
    """Read which photos the user wants to keep together.

    Returns:
        A group by file name; photos that belong to none are missing.

    Raises:
        UserError: the table cannot be used, or names no photo of the set.
    """
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
    groups = {name: match[1] for name, match in found.items() if match and match[1] is not None}
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
    rows = list(csv.DictReader(io.StringIO(_table_text(path))))
    columns = list(rows[0]) if rows else []
    if column not in columns[1:]:
        raise UserError(
            "A table of groups names the photos in its first column and has a column of groups. "
            f"Received {path} with the columns {', '.join(map(str, columns)) or 'none'}, and the "
            f"wish for {column!r}. Correct the table or --group-by."
        )
    groups_of: dict[str, set[str]] = {}
    for row in rows:
        listed, group = ((row[key] or "").strip() for key in (columns[0], column))
        groups_of.setdefault(listed, set()).update([group] if group else [])
    matched = match_names(groups_of, names)
    groups = {
        matched.found[listed]: min(found)
        for listed, found in groups_of.items()
        if listed in matched.found and found
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


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(map(shown, names[:SHOWN_NAMES])) + more


def _table_text(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError as error:
        raise UserError(
            f"A table of groups is a CSV file. Received {path}, where there is none. "
            "Correct --group-by."
        ) from error


def _left_out(photos: Sequence[Photo]) -> list[Note]:
    return [
        Note(f"photo left out: {photo.findings[0].kind}", photo.file_name)
        for photo in photos
        if photo.annotated is None
    ]


def _table(
    parts: Mapping[str, Sequence[str]],
    groups: Sequence[Group],
    photos: Sequence[Photo],
    *,
    folds: bool,
) -> str:
    """One line a photo; of folds that which tests it, since all others train on it."""
    part_of = {
        name: part
        for part, names in parts.items()
        for name in names
        if not folds or part.startswith("test_")
    }
    group_of = {name: group.file_names[0] for group in groups for name in group.file_names}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file_name", "part", "group", "boxes", "grade"])
    for photo in photos:
        name, boxes = photo.file_name, len(photo.annotated.boxes_xyxy)
        writer.writerow([name, part_of[name], group_of[name], boxes, grade_of(photo.annotated)])
    return text.getvalue()
