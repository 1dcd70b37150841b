"""Skin as maps of pigment, blood and relief, and the light that makes a picture of them.

All that is drawn changes the maps; colour arises only at the end, as in skin: melanin and
haemoglobin absorb (optical densities add up), relief shades, and the light colours everything. So a
mole differs from a pimple by what absorbs, not by a fixed colour, and a cast shifts both alike.
Shape shorthand: H, W are the photo's height and width.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# Optical density of one unit of the pigment in R, G, B: chosen by eye near the directions of
# Tsumura et al., "Image-based skin color and texture analysis/synthesis", SIGGRAPH 2003.
MELANIN_RGB = np.array([0.42, 0.62, 0.84], dtype=np.float32)
BLOOD_RGB = np.array([0.14, 0.70, 0.58], dtype=np.float32)
BARE_RGB = np.array([0.97, 0.88, 0.80], dtype=np.float32)
PUS_RGB = np.array([0.93, 0.88, 0.66], dtype=np.float32)


@dataclass(frozen=True)
class SkinMaps:
    """What a photo is made of; all maps are (H, W) float32 and are drawn on in place."""

    melanin: np.ndarray  # brown pigment, optical density
    blood: np.ndarray  # redness, optical density
    height: np.ndarray  # relief in pixels
    pus: np.ndarray  # 0 to 1, covers what lies below
    hair: np.ndarray  # 0 to 1, covers everything


def smooth_noise(rng: np.random.Generator, image_hw: tuple[int, int], cell_px: float) -> np.ndarray:
    """Draw (H, W) noise of zero mean and about unit deviation, smooth over `cell_px` pixels."""
    height, width = image_hw
    grid_hw = int(np.ceil(height / cell_px)) + 3, int(np.ceil(width / cell_px)) + 3
    grid = rng.standard_normal(grid_hw, dtype=np.float32)
    # Cut a window at a random phase, so that the grid's lines do not repeat from photo to photo.
    shift_x, shift_y = rng.uniform(0.5, 1.5, 2)
    window = np.array(
        [[1.0 / cell_px, 0.0, shift_x], [0.0, 1.0 / cell_px, shift_y]], dtype=np.float32
    )
    return cv2.warpAffine(
        grid,
        window,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def bare_skin(rng: np.random.Generator, image_hw: tuple[int, int]) -> SkinMaps:
    """Draw skin without anything on it: tone, blotches, pores and fine relief."""
    tone = rng.uniform(0.12, 0.85)  # light to dark skin
    rough = rng.uniform(0.5, 1.5)
    melanin = tone + 0.04 * smooth_noise(rng, image_hw, 60) + 0.02 * smooth_noise(rng, image_hw, 9)
    blotches = 0.06 * smooth_noise(rng, image_hw, 70) + 0.04 * smooth_noise(rng, image_hw, 22)
    blood = rng.uniform(0.15, 0.4) + rng.uniform(0.4, 1.3) * blotches
    grain = smooth_noise(rng, image_hw, rng.uniform(1.6, 3.0))
    pores = np.maximum(smooth_noise(rng, image_hw, rng.uniform(2.5, 5.0)) - 1.2, 0.0)
    melanin += rough * (0.012 * grain + 0.10 * pores)
    height = rough * (0.10 * grain - 0.45 * pores) + 1.2 * smooth_noise(rng, image_hw, 40)
    return SkinMaps(
        melanin=melanin.astype(np.float32),
        blood=blood.astype(np.float32),
        height=height.astype(np.float32),
        pus=np.zeros(image_hw, np.float32),
        hair=np.zeros(image_hw, np.float32),
    )


def uneven_light(
    rng: np.random.Generator, image_hw: tuple[int, int], colour_shift: float
) -> np.ndarray:
    """Draw light that differs from place to place in strength and in colour.

    The result is (H, W, 3) gains in RGB order, around 1; a `colour_shift` of 0 is white light, 1
    the usual casts.
    """
    height, width = image_hw
    angle = rng.uniform(0.0, 2.0 * np.pi)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    across = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    patches = smooth_noise(rng, image_hw, max(image_hw) / 2.5)
    # Dark skin is not lit brighter than light skin, so the exposure varies for itself.
    strength = rng.normal(0.0, 0.14) + rng.uniform(0.0, 0.7) * across + 0.1 * patches
    cast = colour_shift * rng.normal(0.0, 0.075, 3).astype(np.float32)
    drift = colour_shift * rng.normal(0.0, 0.12, 3).astype(np.float32)
    tint = cast - cast.mean() + across[..., None] * (drift - drift.mean())
    return np.exp(strength[..., None] + tint).astype(np.float32)


def picture(rng: np.random.Generator, maps: SkinMaps, light: np.ndarray) -> np.ndarray:
    """Render the maps to (H, W, 3) uint8 in BGR order.

    Absorption, cover of pus and hair, shading, light, blur and sensor noise.
    """
    density = maps.melanin[..., None] * MELANIN_RGB + maps.blood[..., None] * BLOOD_RGB
    rgb = BARE_RGB * np.exp(-density)
    pus = np.clip(maps.pus, 0.0, 1.0)[..., None]
    rgb += pus * (PUS_RGB * np.exp(-0.35 * density) - rgb)

    slope_x = cv2.Sobel(maps.height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(maps.height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    towards = slope_x * np.float32(np.cos(angle)) + slope_y * np.float32(np.sin(angle))
    shade = 1.0 + 0.35 * np.tanh(rng.uniform(0.6, 1.3) * towards)
    # A mirror-like reflection where the surface leans towards the lamp at the right angle.
    shine = np.exp(-((towards - 0.45) ** 2 + (slope_x**2 + slope_y**2 - towards**2)) / 0.02)
    rgb *= shade[..., None]
    rgb += (rng.uniform(0.0, 0.28) * shine)[..., None]

    hair = np.clip(maps.hair, 0.0, 1.0)[..., None]
    rgb += hair * (0.25 * rgb + np.float32(rng.uniform(0.02, 0.12)) - rgb)
    rgb *= light
    rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 0.9))
    grain = rng.standard_normal(rgb.shape[:2], dtype=np.float32)[..., None]
    rgb += np.float32(rng.uniform(0.004, 0.014)) * grain
    return np.ascontiguousarray((np.clip(rgb, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)[..., ::-1])
