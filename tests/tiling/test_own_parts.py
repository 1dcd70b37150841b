"""Parts of a photo, by hand, and a partition of it."""

import numpy as np
from numpy.testing import assert_array_equal

from acnet.tiling.even_grid import even_grid
from acnet.tiling.own_parts import centred_in, own_parts

TILES = np.array([[0, 0, 100, 50], [80, 0, 180, 50]])  # they share x from 80 to 100


def test_parts_meet_in_the_middle_of_the_overlap():
    far = np.inf
    assert_array_equal(own_parts(TILES, 0), [[-far, -far, 90, far], [90, -far, far, far]])
    assert_array_equal(own_parts(TILES, 5), [[-far, -far, 95, far], [85, -far, far, far]])


def test_one_tile_answers_for_all():
    parts = own_parts(np.array([[0, 0, 100, 50]]), 3)
    assert_array_equal(parts, [[-np.inf, -np.inf, np.inf, np.inf]])


def test_boxes_belong_where_their_centres_are():
    parts = own_parts(TILES, 0)
    boxes = np.array([[0, 0, 98, 50], [85, 10, 97, 20], [80, 0, 100, 50]])  # centres 49, 91, 90
    assert centred_in(boxes, parts[0]).tolist() == [True, False, True]
    assert centred_in(boxes, parts[1]).tolist() == [False, True, True]
    assert centred_in(boxes, parts[[1, 0, 0]]).tolist() == [False, False, True]


def test_every_place_is_in_one_part_and_in_its_tile():
    tiles = even_grid((300, 410), tile_px=128, overlap_px=32)
    tiles = tiles[np.random.default_rng(0).permutation(len(tiles))]
    parts = own_parts(tiles, 0)
    places = np.random.default_rng(1).uniform(0, [410, 300], (500, 2))
    boxes = np.tile(places, 2)
    owned = np.array([centred_in(boxes, part) for part in parts])
    assert (owned.sum(axis=0) == 1).all()
    owner = tiles[owned.argmax(axis=0)]
    # Half of the least overlap, 16, lies between a place and the inner edges of its tile.
    inner_low = (owner[:, :2] == 0) | (places - owner[:, :2] >= 16)
    inner_high = (owner[:, 2:] == [410, 300]) | (owner[:, 2:] - places >= 16)
    assert inner_low.all()
    assert inner_high.all()


def test_no_boxes():
    assert centred_in(np.empty((0, 4)), own_parts(TILES, 0)[0]).shape == (0,)
