"""Colours of hits, misses and false alarms, as readers see them who lack a kind of cone."""

import itertools

import numpy as np
import pytest

from acnet.templates import DARK, LIGHT, ON_PHOTO

KINDS = ("found", "false", "missed")
# In linear RGB, at full severity. Machado, Oliveira & Fernandes, "A physiologically-based model for
# simulation of color vision deficiency", IEEE TVCG 2009.
SEEN_BY = {
    "all cones": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
CLEARLY_APART = 20  # of CIE76; 2.3 is just noticeable side by side


def lab(hex_color: str, seen_by: str) -> np.ndarray:
    """CIELAB (D65) of #rrggbb as somebody sees it."""
    srgb = np.array([int(hex_color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    linear = (np.array(SEEN_BY[seen_by]) @ linear).clip(0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ratio = np.array(to_xyz) @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("palette", [LIGHT, DARK, ON_PHOTO], ids=["light", "dark", "on photo"])
def test_hits_misses_and_false_alarms_are_told_apart(palette, seen_by):
    for a, b in itertools.combinations(KINDS, 2):
        distance = np.linalg.norm(lab(palette[a], seen_by) - lab(palette[b], seen_by))
        assert distance > CLEARLY_APART, (a, b)


def test_lab_of_known_colours():
    np.testing.assert_allclose(lab("#ffffff", "all cones"), [100, 0, 0], atol=0.05)
    np.testing.assert_allclose(lab("#ff0000", "all cones"), [53.2, 80.1, 67.2], atol=0.1)
