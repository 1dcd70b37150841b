"""Generated acne photos from a seed: skin, lesions, and what distracts: moles, freckles, hair."""

from dataclasses import dataclass

import cv2
import numpy as np

from acnet.data.toy.lesions import (
    add_patch,
    draw_blob,
    is_clear,
    paint_lesion,
    place_lesions,
    sample_count,
    sample_diameters,
    soft_edge,
)
from acnet.data.toy.skin import SkinMaps, bare_skin, picture, uneven_light

HAIR_POINTS = 24  # of each hair's curve
SUBPIXEL_BITS = 4  # cv2 draws between pixels at this many fractional bits


def paint_moles(rng: np.random.Generator, maps: SkinMaps, lesion_boxes: np.ndarray) -> None:
    """Paint moles as large as lesions, brown, often with a dark rim; none hides a lesion."""
    height, width = maps.melanin.shape
    for _ in range(rng.poisson(3.0)):
        blob = draw_blob(
            rng,
            center_xy=(rng.uniform(0, width), rng.uniform(0, height)),
            diameter=float(np.exp(rng.uniform(np.log(5), np.log(50)))),
        )
        if not is_clear(blob.box_xyxy(), lesion_boxes):
            continue
        strength = rng.uniform(0.2, 1.1)
        body = soft_edge(blob.rho, rng.uniform(0.06, 0.35))
        rim = rng.uniform(-0.4, 0.5) * np.exp(-(((blob.rho - 0.8) / 0.2) ** 2))
        add_patch(maps.melanin, strength * body * (1.0 + rim), blob)
        add_patch(maps.blood, rng.uniform(0.0, 0.18) * strength * body, blob)  # reddish brown
        if rng.uniform() < 0.4:  # a raised mole shades and shines as a papule does
            dome = np.clip(1.0 - (blob.rho / 1.1) ** 2, 0.0, None) ** 1.5
            add_patch(maps.height, rng.uniform(0.06, 0.25) * blob.diameter * dome, blob)


def paint_freckles(rng: np.random.Generator, maps: SkinMaps) -> None:
    """Paint freckles, in some photos many."""
    height, width = maps.melanin.shape
    for _ in range(rng.poisson(rng.choice([0.0, 6.0, 30.0], p=[0.5, 0.35, 0.15]))):
        blob = draw_blob(
            rng,
            center_xy=(rng.uniform(0, width), rng.uniform(0, height)),
            diameter=rng.uniform(2.5, 7.0),
        )
        add_patch(maps.melanin, rng.uniform(0.08, 0.3) * soft_edge(blob.rho, 0.5), blob)


def paint_blush(rng: np.random.Generator, maps: SkinMaps) -> None:
    """Paint flat redness without a rim and pale scars: blood alone does not make a lesion."""
    height, width = maps.blood.shape
    for _ in range(rng.poisson(2.0)):
        blob = draw_blob(
            rng,
            center_xy=(rng.uniform(0, width), rng.uniform(0, height)),
            diameter=rng.uniform(15.0, 70.0),
            roughness=0.15,
        )
        add_patch(maps.blood, rng.uniform(-0.08, 0.14) * soft_edge(blob.rho, 0.85), blob)


def paint_hair(rng: np.random.Generator, maps: SkinMaps) -> None:
    """Paint bent hairs over everything, in some photos none."""
    height, width = maps.hair.shape
    layer = np.zeros((height, width), np.uint8)
    t = np.linspace(0.0, 1.0, HAIR_POINTS)
    for _ in range(rng.poisson(rng.choice([0.0, 4.0, 14.0], p=[0.35, 0.45, 0.2]))):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        length = np.exp(rng.uniform(np.log(30.0), np.log(260.0)))
        bend = angle + rng.normal(0.0, 0.9) * t
        steps = length / HAIR_POINTS * np.stack([np.cos(bend), np.sin(bend)], axis=1)
        points = np.cumsum(steps, axis=0) + rng.uniform((0, 0), (width, height))
        curve = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
        grey, thickness = int(rng.integers(90, 256)), 1 if rng.uniform() < 0.85 else 2
        cv2.polylines(layer, [curve], False, grey, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    np.maximum(maps.hair, layer.astype(np.float32) / 255.0, out=maps.hair)


NUM_STREAMS = 5  # of random numbers, see `_streams`


@dataclass(frozen=True, kw_only=True)
class ToyOptions:
    """What decides the pixels of photo i, together with i itself."""

    seed: int = 0  # any whole number from 0
    # Sides of square photos, or (width, height); each photo takes one by chance.
    sizes_px: tuple[int | tuple[int, int], ...] = (320,)
    lesion_px: tuple[float, float] = (6.0, 80.0)  # smallest and largest lesion diameter in pixels
    colour_shift: float = 1.0  # strength of colour casts, 0 for white light, 1 as usual
    scale_spread: float = 1.0  # share of the size range that is used, in log scale; 0 for one size
    density: float = 1.0  # factor on the number of lesions
    # Draw every part of a photo from random numbers of its own, so that sets that differ in one
    # knob show the same skin, spots, hair, light and camera. Off, one stream feeds all, and a knob
    # that changes how many numbers a part takes changes all that follows.
    paired: bool = False


@dataclass(frozen=True)
class ToyPhoto:
    """One generated photo."""

    image_bgr: np.ndarray  # (H, W, 3) uint8
    # (N, 4) whole pixels, end exclusive, tight around the lesions, inside the photo.
    boxes_xyxy: np.ndarray


def draw_photo(options: ToyOptions, index: int) -> ToyPhoto:
    """Draw one photo and its boxes, sorted by top, then left.

    It depends on the options and its own index only: the set may grow without changing its photos.
    """
    places, ground, spots, looks, front = _streams(options, index)
    size = options.sizes_px[places.integers(len(options.sizes_px))]
    image_hw = (size[1], size[0]) if isinstance(size, tuple) else (size, size)
    count = sample_count(places, options.density)
    diameters = sample_diameters(places, count, options.lesion_px, options.scale_spread)
    placed = place_lesions(places, image_hw, diameters, apart=options.paired)
    boxes = np.array([lesion.blob.box_xyxy() for lesion in placed], np.float32).reshape(-1, 4)

    maps = bare_skin(ground, image_hw)
    paint_blush(spots, maps)
    paint_freckles(spots, maps)
    paint_moles(spots, maps, boxes)
    for lesion in placed:
        paint_lesion(looks, maps, lesion)
    paint_hair(front, maps)
    light = uneven_light(front, image_hw, options.colour_shift)
    image_bgr = picture(front, maps, light)
    left, top, right, bottom = boxes.T
    return ToyPhoto(image_bgr, boxes[np.lexsort((right, bottom, left, top))])


def _streams(options: ToyOptions, index: int) -> list[np.random.Generator]:
    """Random numbers for places, skin, spots, lesions' looks, and all that lies in front."""
    seed = np.random.SeedSequence([options.seed, index])
    if options.paired:
        return [np.random.default_rng(child) for child in seed.spawn(NUM_STREAMS)]
    return [np.random.default_rng(seed)] * NUM_STREAMS
