"""How a large photo goes through the model: in tiles of one shape, in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from detectron2.structures import Instances

from acnet.errors import UserError
from acnet.tiling.detections import TileDetections
from acnet.tiling.even_grid import even_grid

# Called after each batch with the tiles that are done and those that there are.
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class TilingOptions:
    """Where photos are cut.

    The defaults are measured in docs/lab/merge_study.md.

    Args:
        tile_px: longest side of a tile; photos with no longer side go through whole. None cuts no
            photo.
        overlap_px: what neighbours share, at least; more than the largest lesions measure.
        batch_size: tiles that go through the model at once. One is fastest on a CPU.
        slack_px: each tile answers for its part of the photo, up to the middles of the overlaps
            and this much beyond (see `acnet.tiling.own_parts`); what lies elsewhere costs no time.
            None: for all that it sees, as it always is where the merging asks for every view.
        exact: tiles are squares of `tile_px`, for models that take no other size; else they are
            only as large as the photo needs.

    Raises:
        UserError: a value is out of range.
    """

    tile_px: int | None = 1280
    overlap_px: int = 128
    batch_size: int = 1
    slack_px: float | None = 16.0
    exact: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(
                f"A batch has at least one tile. Received batch_size={self.batch_size}; use 1."
            )
        if self.slack_px is not None and self.slack_px < 0:
            raise UserError(
                "The slack is what a tile's part is grown by, so it is at least 0, or None for the "
                f"whole tile. Received slack_px={self.slack_px}; use 16."
            )
        if self.tile_px is not None and not 0 <= self.overlap_px < self.tile_px:
            raise UserError(
                "The overlap must be at least 0 and smaller than the tile, or the tiles do not "
                f"advance. Received overlap_px={self.overlap_px} and tile_px={self.tile_px}. "
                "Choose a smaller overlap, or larger tiles."
            )

    def tiles(self, image_hw: tuple[int, int]) -> np.ndarray:
        """Lay tiles over a photo.

        Args:
            image_hw: its height and width in pixels.

        Returns:
            (T, 4) XYXY, all of one shape, row by row; one where the photo is not cut.
        """
        tile_px = max(image_hw) if self.tile_px is None else self.tile_px
        overlap_px = min(self.overlap_px, tile_px - 1)
        return even_grid(image_hw, tile_px=tile_px, overlap_px=overlap_px, exact=self.exact)


def tile_batches(
    image: np.ndarray, tiles_xyxy: np.ndarray, batch_size: int
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Give the pixels of tiles, batch by batch.

    Args:
        image: (H, W, C).
        tiles_xyxy: (T, 4).
        batch_size: tiles of a batch; the last may have fewer.

    Yields:
        Which tiles they are, and views of the image.
    """
    for start in range(0, len(tiles_xyxy), batch_size):
        chosen = slice(start, start + batch_size)
        batch = tiles_xyxy[chosen].tolist()
        yield chosen, [image[top:bottom, left:right] for left, top, right, bottom in batch]


def in_photo(found: Sequence[Instances], tiles_xyxy: np.ndarray) -> TileDetections:
    """Put the detections of tiles side by side, in the photo's pixels.

    Args:
        found: for each tile its detections, in the tile's pixels, on the CPU.
        tiles_xyxy: (T, 4).

    Returns:
        All detections.
    """
    boxes = [
        one.pred_boxes.tensor.numpy() + np.tile(tile[:2], 2).astype(np.float32)
        for one, tile in zip(found, tiles_xyxy, strict=True)
    ]
    return TileDetections(
        boxes_xyxy=np.concatenate(boxes).astype(np.float32, copy=False),
        scores=np.concatenate([one.scores.numpy() for one in found]),
        classes=np.concatenate([one.pred_classes.numpy() for one in found]),
        tiles=np.repeat(np.arange(len(found)), [len(one) for one in found]),
    )
