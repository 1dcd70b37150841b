"""What decides how photos are cut into tiles."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from acnet.tiling.clip import MIN_SHARE
from acnet.tiling.grid import OVERLAP_PX, TILE_PX

FORMATS = ("jpg", "png")


@dataclass(frozen=True, kw_only=True)
class TileOptions:
    """How photos are cut, how tiles are written, and which of them a split takes.

    Args:
        tile_px: side of the square tiles.
        overlap_px: what neighbours share, at least.
        min_share: share of a box's area that a tile must hold to keep the box.
        empty_share: share of the tiles without boxes that a split for training takes, 0 to 1.
        train_splits: patterns (`*`, `?`) of the splits for training; all others take every tile.
        image_format: "jpg" or "png".
        jpeg_quality: 1 to 100. NOT IN PAPER: 95 keeps a second compression below what is seen.
        png_level: zlib's 0 to 9. NOT IN PAPER: 2 gives files 6 % larger than Pillow's default in an
            eighth of its time, 3 smaller ones in a fifth (docs/lab/performance_data.md).
        virtual: write no pictures; the loader cuts the tiles of a photo when it needs them.
    """

    tile_px: int = TILE_PX
    overlap_px: int = OVERLAP_PX
    min_share: float = MIN_SHARE
    empty_share: float = 0.1
    train_splits: Sequence[str] = ("train*",)
    image_format: str = "jpg"
    jpeg_quality: int = 95
    png_level: int = 2
    virtual: bool = False

    @property
    def suffix(self) -> str:
        """Of the tiles' names. Virtual tiles have the pixels of PNG tiles, and so their names."""
        return ".png" if self.virtual or self.image_format == "png" else ".jpg"

    def share_of_empty(self, split: str) -> float:
        """Returns the share of the tiles without boxes that a split takes.

        Args:
            split: its name. Only splits for training may leave tiles out: what is evaluated must
                show the false alarms on bare skin too.
        """
        is_train = any(fnmatch.fnmatchcase(split, pattern) for pattern in self.train_splits)
        return self.empty_share if is_train else 1.0
