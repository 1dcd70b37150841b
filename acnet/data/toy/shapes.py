"""Irregular round shapes, the building block of drawn lesions, moles and freckles."""

from dataclasses import dataclass

import numpy as np

# Radius of the drawn patch over the shape's: what lies beyond the rim (halo, shadow) ends here.
PATCH_REACH = 1.9
MAX_COVERED = 0.25  # of the smaller of two boxes by the other: clusters touch, they do not hide


@dataclass(frozen=True)
class Blob:
    """A shape on the pixel grid.

    Args:
        rho: (h, w) distance from the centre as a share of the rim's, 1 on the rim.
        left: column of the patch's first pixel in the photo, may be negative.
        top: row of the patch's first pixel in the photo, may be negative.
        diameter: pixels.
    """

    rho: np.ndarray
    left: int
    top: int
    diameter: float

    def box_xyxy(self) -> tuple[int, int, int, int]:
        """The tight box around the pixels inside the rim, in photo pixels, end exclusive."""
        inside = self.rho <= 1.0
        columns = np.flatnonzero(inside.any(axis=0))
        rows = np.flatnonzero(inside.any(axis=1))
        return (
            self.left + int(columns[0]),
            self.top + int(rows[0]),
            self.left + int(columns[-1]) + 1,
            self.top + int(rows[-1]) + 1,
        )


def draw_blob(
    rng: np.random.Generator,
    *,
    center_xy: tuple[float, float],
    diameter: float,
    roughness: float = 0.06,
    max_aspect: float = 1.35,
) -> Blob:
    """Draws a rotated ellipse whose rim waves.

    Args:
        rng: where the form comes from.
        center_xy: photo coordinates in pixels.
        diameter: geometric mean of the two axes, in pixels.
        roughness: standard deviation of the rim's longest wave, as a share of the radius.
        max_aspect: largest ratio of the two axes.

    Returns:
        The shape; it covers at least one pixel.
    """
    radius = diameter / 2
    reach = int(np.ceil(radius * PATCH_REACH)) + 1
    left, top = int(center_xy[0]) - reach, int(center_xy[1]) - reach
    axis = np.arange(2 * reach + 1, dtype=np.float32) + 0.5
    x = (axis + np.float32(left - center_xy[0]))[None, :]
    y = (axis + np.float32(top - center_xy[1]))[:, None]

    stretch = np.float32(max_aspect ** rng.uniform(0.0, 0.5))
    turn = rng.uniform(0.0, np.pi)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    point = (x * cos + y * sin) / stretch + 1j * ((y * cos - x * sin) * stretch)
    distance = np.abs(point) + np.float32(1e-6)

    direction = point / distance
    rim = np.ones_like(distance)
    wave = direction * direction  # powers of it are the harmonics: no arctangent needed
    for harmonic in (2, 3, 4, 5):
        amplitude = roughness * 2.0 / harmonic * rng.standard_normal()
        phase = np.complex64(np.exp(2j * np.pi * rng.uniform()))
        rim += np.float32(amplitude) * (wave * phase).real
        wave = wave * direction
    rho = distance / (np.float32(radius) * np.maximum(rim, np.float32(0.5)))
    rho[reach, reach] = min(rho[reach, reach], 1.0)
    return Blob(rho=rho, left=left, top=top, diameter=diameter)


def is_clear(box_xyxy: tuple[int, int, int, int], boxes_xyxy: np.ndarray) -> bool:
    """Says whether a box leaves all others visible, and they it.

    Args:
        box_xyxy: the new box.
        boxes_xyxy: (N, 4) what is there already.

    Returns:
        True where no pair shares more than `MAX_COVERED` of the smaller of the two.
    """
    box = np.asarray(box_xyxy, np.float32)
    shared_wh = np.minimum(boxes_xyxy[:, 2:], box[2:]) - np.maximum(boxes_xyxy[:, :2], box[:2])
    shared = np.clip(shared_wh, 0.0, None).prod(axis=1)
    areas = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return bool(np.all(shared <= MAX_COVERED * np.minimum(areas, (box[2:] - box[:2]).prod())))


def soft_edge(rho: np.ndarray, softness: float) -> np.ndarray:
    """Falls from 1 to 0 around the rim, smoothly.

    Args:
        rho: distance as a share of the rim's.
        softness: half the width of the fall, in the same unit; positive.

    Returns:
        1 below `1 - softness`, 0 above `1 + softness`, 0.5 on the rim.
    """
    t = np.clip((1.0 + softness - rho) / (2.0 * softness), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def add_patch(canvas: np.ndarray, patch: np.ndarray, blob: Blob) -> None:
    """Adds a blob's patch to a map in place; what leaves the photo is cut.

    Args:
        canvas: (H, W) map of the photo.
        patch: (h, w) values on the blob's grid.
        blob: gives the place.
    """
    height, width = patch.shape
    y0, x0 = max(blob.top, 0), max(blob.left, 0)
    y1 = min(blob.top + height, canvas.shape[0])
    x1 = min(blob.left + width, canvas.shape[1])
    if y0 < y1 and x0 < x1:
        inside = patch[y0 - blob.top : y1 - blob.top, x0 - blob.left : x1 - blob.left]
        canvas[y0:y1, x0:x1] += inside
