"""How much the splits of a set hold, for the manifest and for people."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from acnet.data.layout import PreparedLayout
from acnet.data.records import ImageRecord, TileRecord


@dataclass(frozen=True)
class TileCounts:
    """How much a split holds.

    Args:
        split: its name.
        photos: whole photos.
        boxes: on the photos.
        tiles: in the tiles' file.
        empty_tiles: of those, without boxes.
        tile_boxes: in the tiles; overlap counts a box more than once.
    """

    split: str
    photos: int
    boxes: int
    tiles: int
    empty_tiles: int
    tile_boxes: int


def count_tiles(
    split: str, photos: Sequence[ImageRecord], tiles: Iterable[TileRecord]
) -> TileCounts:
    """Counts what a split holds.

    Args:
        split: its name.
        photos: of the split.
        tiles: that it takes.
    """
    boxes = [len(tile.boxes_xyxy) for tile in tiles]
    return TileCounts(
        split=split,
        photos=len(photos),
        boxes=sum(len(photo.boxes_xyxy) for photo in photos),
        tiles=len(boxes),
        empty_tiles=boxes.count(0),
        tile_boxes=sum(boxes),
    )


def counts_table(counts: Iterable[TileCounts], layout: PreparedLayout) -> str:
    """Returns a table of the splits, by the names that they are registered under.

    Args:
        counts: one row each.
        layout: the prepared set.
    """
    rows = [
        (
            layout.dataset_name(count.split),
            count.photos,
            count.boxes,
            count.tiles,
            count.empty_tiles,
            count.tile_boxes,
        )
        for count in counts
    ]
    return tabulate(rows, ("data set", "photos", "boxes", "tiles", "of them empty", "their boxes"))
