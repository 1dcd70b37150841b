"""What the tiles of one photo found, side by side, before anything is merged.

Shape shorthand in this module:
    N: number of detections
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class TileDetections:
    """Detections of all tiles, in the photo's pixels.

    Args:
        boxes_xyxy: (N, 4) float32.
        scores: (N,) float32, 0 to 1.
        classes: (N,) int64.
        tiles: (N,) int64, the index of the tile that each was found in.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    tiles: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, chosen: np.ndarray) -> "TileDetections":
        """Returns some of the detections.

        Args:
            chosen: their indices, or a mask.
        """
        return TileDetections(
            boxes_xyxy=self.boxes_xyxy[chosen],
            scores=self.scores[chosen],
            classes=self.classes[chosen],
            tiles=self.tiles[chosen],
        )

    def best_first(self) -> "TileDetections":
        """Returns them in an order that does not depend on the order of the tiles.

        Scores fall; equal scores are in the order of top, left, bottom, right, class. What is equal
        in all of these is the same detection twice.
        """
        left, top, right, bottom = self.boxes_xyxy.T
        keys = (self.tiles, self.classes, right, bottom, left, top, -self.scores)
        return self.take(np.lexsort(keys))  # the last key decides first
