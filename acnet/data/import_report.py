"""What the user is told after an import: what is there now, and what was left out."""

from collections.abc import Collection

from tabulate import tabulate

from acnet.data.import_set import ImportedSet
from acnet.data.readers.source import Source
from acnet.data.records import ImageRecord

SHOWN_UNLISTED = 5


def import_report(imported: ImportedSet, source: Source) -> str:
    """Returns the report.

    Args:
        imported: what was written.
        source: what it was read from.
    """
    layout = imported.layout
    photos = {record.file_name: record for split in imported.splits.values() for record in split}
    rows = [
        *(
            (layout.dataset_name(split), *_counts(records))
            for split, records in imported.splits.items()
        ),
        ("all, each once", *_counts(photos.values())),
    ]
    parts = [
        tabulate(rows, ("data set", "photos", "boxes", "without boxes")),
        f"classes: {', '.join(imported.class_names)}",
    ]
    if imported.notes.items:
        parts.append(
            tabulate(imported.notes.counts().items(), ("dropped, changed or noted", "times"))
        )
        parts.append(f"each is listed in {layout.dropped}")
    else:
        parts.append("nothing was dropped or changed")
    if source.unlisted:
        names = [str(path) for path in source.unlisted[:SHOWN_UNLISTED]]
        more = len(source.unlisted) - len(names)
        rest = [f"and {more} more"] if more else []
        parts.append("\n  ".join([f"not part of the set ({len(source.unlisted)}):", *names, *rest]))
    parts.append(f"read as {source.format}, written to {layout.folder}")
    return "\n\n".join(parts) + "\n"


def _counts(records: Collection[ImageRecord]) -> tuple[int, int, int]:
    """Photos, boxes, and photos without a box."""
    boxes = [len(record.boxes_xyxy) for record in records]
    return len(boxes), sum(boxes), boxes.count(0)
