"""ACNE04 to COCO files of whole photos and of tiles, as `acnet/data/register.py` expects them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.acne04 import Acne04Source
from acnet.data.records import Notes
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import TileCounts, tile_set
from acnet.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """What decides the content of the prepared data set.

    Args:
        tiles: how photos are cut.
        folds: which of the source's folds; None for all.
        skip_unreadable: leave corrupt files out, instead of stopping after all were read.
        workers: processes that read, then threads that cut.
        command: that repeats the preparation, for the manifest.
    """

    tiles: TileOptions = dataclasses.field(default_factory=TileOptions)
    folds: Sequence[int] | None = None
    skip_unreadable: bool = False
    workers: int = 1
    command: str = ""


def prepare_acne04(
    source: Acne04Source, layout: PreparedLayout, options: PrepareOptions
) -> tuple[list[TileCounts], Notes]:
    """Imports the photos' annotations, then cuts tiles.

    Running it again writes the same files again. What an interruption leaves unfinished cannot be
    loaded.

    Args:
        source: where ACNE04 is.
        layout: where the prepared set goes: a missing or empty folder, or an earlier one.
        options: how.

    Returns:
        Counts per split, and notes on all that was dropped or changed.

    Raises:
        UserError: see `import_set` and `tile_set`, or a fold does not exist.
    """
    import_options = ImportOptions(
        splits=_splits_of_folds(source, options.folds),
        skip_unreadable=options.skip_unreadable,
        workers=options.workers,
        command=options.command,
    )
    imported = import_set(source, layout, import_options)
    return tile_set(layout, options.tiles, workers=options.workers), imported.notes


def _splits_of_folds(source: Acne04Source, folds: Sequence[int] | None) -> list[str] | None:
    there = sorted({int(split.rsplit("_", 1)[1]) for split in source.splits})
    missing = sorted(set(folds or []) - set(there))
    if missing:
        raise UserError(
            f"A fold needs both of its lists. Received folds {missing}; there are {there}. "
            "Choose among these by --folds."
        )
    if folds is None:
        return None
    return [split for split in source.splits if int(split.rsplit("_", 1)[1]) in folds]
