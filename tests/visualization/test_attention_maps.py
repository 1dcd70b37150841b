"""Saliency over a photo: nothing where it is 0, colour where it is 1."""

import numpy as np
import pytest

from acnet.visualization.attention_maps import draw_saliency


def photo(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def test_no_saliency_leaves_the_photo_unchanged():
    picture = photo(1000)
    np.testing.assert_array_equal(draw_saliency(picture, np.zeros((125, 125))), picture)


def test_full_saliency_mixes_the_last_colour_in_by_the_opacity():
    # viridis ends at (0.993248, 0.906157, 0.143936): 0.75 of it and 0.25 of a black photo.
    result = draw_saliency(np.zeros((1000, 1000, 3), np.uint8), np.ones((5, 5)), opacity=0.75)
    expected = 255 * 0.75 * np.array([0.993248, 0.906157, 0.143936])
    np.testing.assert_array_equal(result[500, 500], expected.round().astype(np.uint8))
    assert (result == result[0, 0]).all()


def test_salient_cell_covers_its_place_in_the_photo():
    saliency = np.zeros((10, 20))
    saliency[2, 15] = 1  # the centre of this cell is at y = 250, x = 1550 of 1000 x 2000
    black = np.zeros((1000, 2000, 3), np.uint8)
    rows, columns, _ = np.nonzero(draw_saliency(black, saliency))
    assert rows.mean() == pytest.approx(250, abs=2)
    assert columns.mean() == pytest.approx(1550, abs=2)


def test_small_photo_is_enlarged():
    assert draw_saliency(photo(320), np.zeros((40, 40))).shape == (960, 960, 3)
