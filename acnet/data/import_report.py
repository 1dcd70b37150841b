"""What the user is told after an import: what is there now, and what was left out."""

from tabulate import tabulate

from acnet.data.import_set import ImportedSet
from acnet.data.readers.source import Source

SHOWN_UNLISTED = 5


def import_report(imported: ImportedSet, source: Source) -> str:
    """Returns the report.

    Args:
        imported: what was written.
        source: what it was read from.
    """
    layout = imported.layout
    rows = [
        (layout.dataset_name(split), len(records), sum(len(r.boxes_xyxy) for r in records))
        for split, records in imported.splits.items()
    ]
    photos = {record.file_name: record for split in imported.splits.values() for record in split}
    total = ("all, each once", len(photos), sum(len(r.boxes_xyxy) for r in photos.values()))
    parts = [
        tabulate([*rows, total], ("data set", "photos", "boxes")),
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
