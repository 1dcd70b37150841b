"""At which size a photo is looked at: the scale belongs to the weights, and follows the lesions.

A detector finds lesions best at the size in pixels that they had in its training. Where that was
whole photos of one size, every photo is brought to that size first. Since a face may fill the frame
or be a tenth of it, a first look at the trained size says how large lesions are in this photo, and
a second one is taken at the size at which they measure what they did in training.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from acnet.errors import UserError
from acnet.photos import pixels
from acnet.photos.merge import NMS, TileDetections

PhotoSize: TypeAlias = int | str  # pixels of the long side, or one of these
AUTO, NATIVE = "auto", "native"

# NOT IN PAPER: everything here; the paper evaluates tiles of photos as they are. The numbers were
# chosen on photos that neither trained the bundled weights nor test them, see docs/predict.md.
LARGEST_FACTOR = 4.0  # between the trained size and the one that is looked at, either way
LARGEST_GROWTH = 2.0  # of a photo's own pixels
KEPT_FACTOR = 2**0.25 * 1.0001  # between the best size and one that is good enough
STEPS = 2  # sizes for each factor of two
PASSES = 3
LOWEST_SCORE = 0.1  # of detections that say how large lesions are
PRIOR = 1.0  # lesions of the trained size that are taken for seen before any
NOTED_FACTOR = 1.2  # between sizes, above which pages tell of it
PIXELS = (32, 16384)  # of a long side that may be asked for

# Finds lesions in a photo that was brought to some size, in its pixels.
Look: TypeAlias = Callable[[np.ndarray], TileDetections]


@dataclass(frozen=True, kw_only=True)
class PhotoSizing:
    """At which size photos were seen in training, and are to be seen now.

    Args:
        size_px: Long side of whole photos in training; None for tiles of photos as they are.
        lesion_px: What lesions measured there, the median square root of their area; None where
            nobody knows, so that all photos are seen at `size_px`.
        wanted: "auto", "native", or the long side in pixels.

    Raises:
        UserError: A size is out of range.

    Example:
        >>> PhotoSizing(size_px=640, lesion_px=37).name
        'auto'
        >>> PhotoSizing().name
        'native'
    """

    size_px: int | None = None
    lesion_px: float | None = None
    wanted: PhotoSize = AUTO

    def __post_init__(self) -> None:
        low, high = PIXELS
        is_size = isinstance(self.wanted, int) and low <= self.wanted <= high
        if not is_size and self.wanted not in (AUTO, NATIVE):
            raise UserError(
                f"Photos are seen at auto, native, or a long side of {low} to {high} pixels. "
                f"Received {self.wanted!r}; choose one of these."
            )

    @property
    def follows(self) -> bool:
        """Whether each photo's size follows what is found in it."""
        return self.wanted == AUTO and None not in (self.size_px, self.lesion_px)

    @property
    def merge_name(self) -> str:
        """What makes a photo's scores, to which a count model is fitted."""
        return NMS if self.name == NATIVE else f"{NMS}, photo size {self.name}"

    @property
    def name(self) -> str:
        """What chooses the size: auto, native or a number."""
        if self.wanted == AUTO and not self.follows:
            return NATIVE if self.size_px is None else f"{self.size_px}"
        return f"{self.wanted}"

    @property
    def about(self) -> dict[str, int | str | None]:
        """What files tell of it."""
        return {"photo_size": self.name, "trained_photo_size_px": self.size_px}

    def first(self, image_hw: tuple[int, int]) -> int:
        """Return the long side at which a photo is seen first, in pixels."""
        if self.name == NATIVE:
            return max(image_hw)
        if not self.follows:
            return int(self.name)
        return self._within(self.size_px, image_hw)

    def following(
        self, size_px: int, image_hw: tuple[int, int], boxes_xyxy: np.ndarray, scores: np.ndarray
    ) -> int:
        """Choose the long side to see a photo at, from what was found in it.

        Args:
            size_px: Long side at which this was found.
            image_hw: The photo's own height and width.
            boxes_xyxy: (N, 4) in pixels of the photo's own.
            scores: (N,).

        Returns:
            The long side; `size_px` itself where that was near enough.
        """
        trained_px = self.lesion_px * max(image_hw) / self.size_px  # in the photo's own pixels
        factor = trained_px / lesion_size(boxes_xyxy, scores, prior_px=trained_px)
        factor = float(np.clip(factor, 1 / LARGEST_FACTOR, LARGEST_FACTOR))
        if 1 / KEPT_FACTOR < self.size_px * factor / size_px < KEPT_FACTOR:
            return size_px
        steps = round(STEPS * np.log2(factor))
        return self._within(round(self.size_px * 2 ** (steps / STEPS)), image_hw)

    @staticmethod
    def _within(size_px: int, image_hw: tuple[int, int]) -> int:
        return min(size_px, round(LARGEST_GROWTH * max(image_hw)))


def seen_otherwise(size_px: int, trained_px: int | None) -> str:
    """Say so where a photo was seen at another size than those of the training; "" where not."""
    if trained_px is None or 1 / NOTED_FACTOR <= size_px / trained_px <= NOTED_FACTOR:
        return ""
    return f"seen at {size_px} px, trained at {trained_px} px"


def lesion_size(boxes_xyxy: np.ndarray, scores: np.ndarray, *, prior_px: float) -> float:
    """Say how large the lesions of a photo are, the more sure detections counting more.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,).
        prior_px: What is believed before anything is found.

    Returns:
        Weighted median of the square roots of areas, drawn towards `prior_px` as if `PRIOR` sure
        lesions of that size had been found as well.
    """
    sizes = np.sqrt((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).clip(min=0).prod(axis=1))
    chosen = (scores >= LOWEST_SCORE) & (sizes > 0)
    logs, weights = np.log(sizes[chosen]), scores[chosen].astype(np.float64)
    if not len(logs):
        return prior_px
    order = np.argsort(logs, kind="stable")
    up_to = np.cumsum(weights[order])
    median = logs[order][np.searchsorted(up_to, up_to[-1] / 2)]
    total = up_to[-1]
    return float(np.exp((total * median + PRIOR * np.log(prior_px)) / (total + PRIOR)))


def see(photo_bgr: np.ndarray, sizing: PhotoSizing, look: Look) -> TileDetections:
    """Find the lesions of a photo at the size that suits them.

    Args:
        photo_bgr: (H, W, 3) uint8.
        sizing: Chooses the size.
        look: Called once, or up to `PASSES` times where the size follows what is found.

    Returns:
        What was found last, in the photo's own pixels, with the size at which it was seen.
    """
    image_hw = photo_bgr.shape[:2]
    size_px = sizing.first(image_hw)
    found = _seen_at(size_px, photo_bgr, look)
    for _ in range(PASSES - 1 if sizing.follows else 0):
        following = sizing.following(size_px, image_hw, found.boxes_xyxy, found.scores)
        if following == size_px:
            break
        size_px = following
        found = _seen_at(size_px, photo_bgr, look)
    return found


def _seen_at(size_px: int, photo_bgr: np.ndarray, look: Look) -> TileDetections:
    picture = resize(photo_bgr, size_px)
    found, boxes = look(picture), None
    if picture is not photo_bgr:
        (height, width), (seen_height, seen_width) = photo_bgr.shape[:2], picture.shape[:2]
        scale = np.array([width / seen_width, height / seen_height] * 2, np.float32)
        boxes = (found.boxes_xyxy * scale).clip(0, np.array([width, height] * 2, np.float32))
    return dataclasses.replace(
        found,
        boxes_xyxy=found.boxes_xyxy if boxes is None else boxes,
        photo_size_px=size_px,
    )


def resize(photo_bgr: np.ndarray, size_px: int) -> np.ndarray:
    """Bring a photo's long side to a size; the photo itself where it has it already."""
    height, width = photo_bgr.shape[:2]
    factor = size_px / max(height, width)
    if factor == 1:
        return photo_bgr
    size_wh = [max(1, round(side * factor)) for side in (width, height)]
    return pixels.resize(photo_bgr, size_wh)
