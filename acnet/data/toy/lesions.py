"""Generated acne: irregular round shapes, and the lesions that are made of them."""

from dataclasses import dataclass

import cv2
import numpy as np

from acnet.data.toy.skin import SkinMaps

# Radius of the drawn patch over the shape's: what lies beyond the rim (halo, shadow) ends here.
PATCH_REACH = 1.9
MAX_COVERED = 0.25  # of the smaller of two boxes by the other: clusters touch, they do not hide


@dataclass(frozen=True)
class Blob:
    """A shape on the pixel grid."""

    rho: np.ndarray  # (h, w) distance from the centre as a share of the rim's, 1 on the rim
    left: int  # column of the patch's first pixel in the photo, may be negative
    top: int  # row of the patch's first pixel in the photo, may be negative
    diameter: float  # pixels

    def box_xyxy(self) -> tuple[int, int, int, int]:
        """The tight box around the pixels inside the rim, in photo pixels, end exclusive."""
        x, y, width, height = cv2.boundingRect((self.rho <= 1.0).astype(np.uint8))
        left, top = self.left + x, self.top + y
        return (left, top, left + width, top + height)


def draw_blob(
    rng: np.random.Generator,
    *,
    center_xy: tuple[float, float],
    diameter: float,
    roughness: float = 0.06,
    max_aspect: float = 1.35,
) -> Blob:
    """Draw a rotated ellipse whose rim waves; it covers at least one pixel.

    The diameter is the geometric mean of the two axes, in pixels; the roughness the standard
    deviation of the rim's longest wave, as a share of the radius.
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
    """Say whether no pair shares more than `MAX_COVERED` of the smaller of the two."""
    box = np.asarray(box_xyxy, np.float32)
    shared_wh = np.minimum(boxes_xyxy[:, 2:], box[2:]) - np.maximum(boxes_xyxy[:, :2], box[:2])
    shared = np.clip(shared_wh, 0.0, None).prod(axis=1)
    areas = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return bool(np.all(shared <= MAX_COVERED * np.minimum(areas, (box[2:] - box[:2]).prod())))


def soft_edge(rho: np.ndarray, softness: float) -> np.ndarray:
    """Fall smoothly from 1 below `1 - softness` to 0.5 on the rim and 0 above `1 + softness`."""
    t = np.clip((1.0 + softness - rho) / (2.0 * softness), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def add_patch(canvas: np.ndarray, patch: np.ndarray, blob: Blob) -> None:
    """Add (h, w) values on a blob's grid to a map in place; what leaves the photo is cut."""
    height, width = patch.shape
    y0, x0 = max(blob.top, 0), max(blob.left, 0)
    y1 = min(blob.top + height, canvas.shape[0])
    x1 = min(blob.left + width, canvas.shape[1])
    if y0 < y1 and x0 < x1:
        inside = patch[y0 - blob.top : y1 - blob.top, x0 - blob.left : x1 - blob.left]
        canvas[y0:y1, x0:x1] += inside


PLACING_TRIES = 40
CLUSTER_SHARE = 0.55  # of lesions that sit beside another one
BARE_SHARE = 0.03  # of photos without any lesion
FAINT_SHARE = 0.04  # of lesions that are barely visible
FAINT_REDNESS = (0.10, 0.16)  # optical density of blood; blotches of bare skin deviate by 0.06
REDNESS = (0.17, 0.75)
TYPICAL_COUNT = 7.0  # the median of ACNE04
COUNT_SIGMA = 0.75  # of the logarithm: 2 to 24 lesions in nine photos of ten


@dataclass(frozen=True)
class Lesion:
    """One lesion to be painted."""

    blob: Blob
    kind: str  # "papule", "pustule", "nodule" or "whitehead"
    redness: float  # its optical density of blood


def sample_count(rng: np.random.Generator, density: float) -> int:
    """Draw how many lesions a photo is to have: heavy-tailed, sometimes none."""
    bare = rng.uniform() < BARE_SHARE
    count = round(density * TYPICAL_COUNT * float(np.exp(COUNT_SIGMA * rng.standard_normal())))
    return 0 if bare else max(count, 1 if density > 0 else 0)


def sample_diameters(
    rng: np.random.Generator, count: int, lesion_px: tuple[float, float], scale_spread: float
) -> np.ndarray:
    """Draw sizes log-uniformly, largest first, so that the large ones still find a place.

    A spread of 1 takes the whole range in pixels, in log scale; 0 the middle size for every lesion.
    """
    low, high = np.log(lesion_px)
    middle, half = (low + high) / 2, (high - low) / 2
    return np.sort(np.exp(middle + half * scale_spread * rng.uniform(-1.0, 1.0, count)))[::-1]


def place_lesions(
    rng: np.random.Generator,
    image_hw: tuple[int, int],
    diameters: np.ndarray,
    *,
    apart: bool = False,
) -> list[Lesion]:
    """Place lesions, some in clusters, without hiding one under another; every box lies inside.

    One for which there is no place left is dropped. With `apart` each is drawn from random numbers
    of its own, so that one that is tried more often moves no other.
    """
    height, width = image_hw
    lesions: list[Lesion] = []
    boxes = np.zeros((0, 4), np.float32)
    streams = rng.spawn(len(diameters)) if apart else [rng] * len(diameters)
    for own, diameter in zip(streams, diameters, strict=True):
        for _ in range(PLACING_TRIES):
            center_xy = _sample_center(own, image_hw, diameter, boxes)
            blob = draw_blob(own, center_xy=center_xy, diameter=float(diameter))
            box = blob.box_xyxy()
            is_inside = min(box) >= 0 and box[2] <= width and box[3] <= height
            if is_inside and is_clear(box, boxes):
                boxes = np.concatenate([boxes, np.array([box], np.float32)])
                lesions.append(Lesion(blob, _sample_kind(own, diameter), _sample_redness(own)))
                break
    return lesions


def _sample_center(
    rng: np.random.Generator, image_hw: tuple[int, int], diameter: float, boxes: np.ndarray
) -> tuple[float, float]:
    height, width = image_hw
    if len(boxes) == 0 or rng.uniform() > CLUSTER_SHARE:
        return rng.uniform(0, width), rng.uniform(0, height)
    x0, y0, x1, y1 = boxes[rng.integers(len(boxes))]
    distance = (diameter + np.sqrt((x1 - x0) * (y1 - y0))) / 2 * rng.uniform(0.9, 1.6)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return (x0 + x1) / 2 + distance * np.cos(angle), (y0 + y1) / 2 + distance * np.sin(angle)


def _sample_kind(rng: np.random.Generator, diameter: float) -> str:
    draw = rng.uniform()
    if diameter > 30:
        return "nodule" if draw < 0.6 else "papule" if draw < 0.85 else "pustule"
    if diameter > 10:
        return "papule" if draw < 0.55 else "pustule"
    return "papule" if draw < 0.7 else "whitehead"


def _sample_redness(rng: np.random.Generator) -> float:
    faint = rng.uniform() < FAINT_SHARE
    return rng.uniform(*FAINT_REDNESS) if faint else rng.uniform(*REDNESS)


def paint_lesion(rng: np.random.Generator, maps: SkinMaps, lesion: Lesion) -> None:
    """Paint one lesion on the maps, in place."""
    blob, rho = lesion.blob, lesion.blob.rho
    deep = lesion.kind == "nodule"
    softness = rng.uniform(0.3, 0.5) if deep else rng.uniform(0.12, 0.35)
    pale = 0.45 if lesion.kind == "whitehead" else 1.0
    core = soft_edge(rho, softness)
    uneven = 1.0 + rng.uniform(-0.35, 0.25) * np.clip(1.0 - rho, 0.0, 1.0)
    halo = rng.uniform(0.05, 0.22) * np.exp(-((rho / 1.25) ** 4))
    add_patch(maps.blood, lesion.redness * pale * (core * uneven + halo), blob)
    add_patch(maps.melanin, rng.uniform(0.0, 0.25) * lesion.redness * core, blob)

    rise = rng.uniform(0.05, 0.16) if deep else rng.uniform(0.08, 0.28)
    visible = min(1.0, lesion.redness / 0.3)  # a faint one is flat as well
    dome = np.clip(1.0 - (rho / 1.1) ** 2, 0.0, None) ** 1.5
    add_patch(maps.height, rise * visible * blob.diameter * dome, blob)

    if lesion.kind in ("pustule", "whitehead"):
        head = rng.uniform(0.3, 0.6) if lesion.kind == "pustule" else rng.uniform(0.55, 0.8)
        cover = rng.uniform(0.3, 0.8) * visible
        add_patch(maps.pus, cover * soft_edge(rho / head, rng.uniform(0.2, 0.45)), blob)
