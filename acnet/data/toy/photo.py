"""Generated acne photos: skin, lesions and distractors from a seed."""

from dataclasses import dataclass

import numpy as np

from acnet.data.toy import distractors, lesions, skin

NUM_STREAMS = 5  # of random numbers, see `_streams`


@dataclass(frozen=True, kw_only=True)
class ToyOptions:
    """What decides the pixels of photo i, together with i itself.

    Args:
        seed: any whole number from 0.
        sizes_px: sides of square photos, or (width, height); each photo takes one by chance.
        lesion_px: smallest and largest lesion diameter in pixels.
        colour_shift: strength of colour casts, 0 for white light, 1 as usual.
        scale_spread: share of the size range that is used, in log scale; 0 for one size.
        density: factor on the number of lesions.
        paired: draw every part of a photo from random numbers of its own, so that sets that differ
            in one knob show the same skin, spots, hair, light and camera. Off, one stream feeds
            all, and a knob that changes how many numbers a part takes changes all that follows.
    """

    seed: int = 0
    sizes_px: tuple[int | tuple[int, int], ...] = (320,)
    lesion_px: tuple[float, float] = (6.0, 80.0)
    colour_shift: float = 1.0
    scale_spread: float = 1.0
    density: float = 1.0
    paired: bool = False


@dataclass(frozen=True)
class ToyPhoto:
    """One generated photo.

    Args:
        image_bgr: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) whole pixels, end exclusive, tight around the lesions, inside the photo.
    """

    image_bgr: np.ndarray
    boxes_xyxy: np.ndarray


def draw_photo(options: ToyOptions, index: int) -> ToyPhoto:
    """Draws one photo; it depends on the options and its own index only.

    Args:
        options: the seed and the knobs.
        index: from 0; the set may grow later without changing the photos it has.

    Returns:
        The picture and its boxes, sorted by top, then left.
    """
    places, ground, spots, looks, front = _streams(options, index)
    size = options.sizes_px[places.integers(len(options.sizes_px))]
    image_hw = (size[1], size[0]) if isinstance(size, tuple) else (size, size)
    count = lesions.sample_count(places, options.density)
    diameters = lesions.sample_diameters(places, count, options.lesion_px, options.scale_spread)
    placed = lesions.place_lesions(places, image_hw, diameters, apart=options.paired)
    boxes = np.array([lesion.blob.box_xyxy() for lesion in placed], np.float32).reshape(-1, 4)

    maps = skin.bare_skin(ground, image_hw)
    distractors.paint_blush(spots, maps)
    distractors.paint_freckles(spots, maps)
    distractors.paint_moles(spots, maps, boxes)
    for lesion in placed:
        lesions.paint_lesion(looks, maps, lesion)
    distractors.paint_hair(front, maps)
    light = skin.uneven_light(front, image_hw, options.colour_shift)
    image_bgr = skin.picture(front, maps, light)
    left, top, right, bottom = boxes.T
    return ToyPhoto(image_bgr, boxes[np.lexsort((right, bottom, left, top))])


def _streams(options: ToyOptions, index: int) -> list[np.random.Generator]:
    """Random numbers for places, skin, spots, lesions' looks, and all that lies in front."""
    seed = np.random.SeedSequence([options.seed, index])
    if options.paired:
        return [np.random.default_rng(child) for child in seed.spawn(NUM_STREAMS)]
    return [np.random.default_rng(seed)] * NUM_STREAMS
