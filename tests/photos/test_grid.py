"""The size at which a photo is seen, the tiles of one shape that cover it, and their parts."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from acnet.data.tiles.tile_plan import tile_grid
from acnet.errors import UserError
from acnet.photos.grid import PhotoSizing, even_grid, lesion_size, own_parts, resize, see
from acnet.photos.merge import TileDetections
from tests.photos.samples import detections

TRAINED = PhotoSizing(size_px=640, lesion_px=32.0)
HW = (1280, 960)  # where a lesion of the trained size measures 64


def squares(side: float, count: int = 50, score: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.tile(np.array([100, 100, 100 + side, 100 + side], np.float32), (count, 1))
    return boxes, np.full(count, score, np.float32)


def look_for(side: float, seen: list[np.ndarray]):
    """Find 50 lesions of this size in a photo of HW, whatever it is resized to."""

    def look(picture: np.ndarray) -> TileDetections:
        seen.append(picture)
        boxes, scores = squares(side)
        boxes *= np.float32(max(picture.shape) / max(HW))
        return detections([(0, *row) for row in zip(scores, boxes, strict=True)])

    return look


@pytest.mark.parametrize(
    ("side", "size_px"),
    [
        (64, 640),  # as in training
        (75, 640),  # 1.17 times as large: good enough
        (55, 640),
        (88, 453),  # 1.37 times: not
        (47, 905),
        (32, 1280),  # half as large: seen twice as large
        (128, 320),
        (16, 2560),
        (4, 2560),  # four times the trained size is the most
        (900, 160),
    ],
)
def test_lesions_are_brought_to_their_size_in_training(side, size_px):
    assert TRAINED.following(640, HW, *squares(side)) == size_px


def test_what_was_found_changes_the_size_only_where_it_is_sure_and_within_limits():
    assert {TRAINED.following(now, HW, *squares(32)) for now in (320, 640, 1280)} == {1280}
    assert TRAINED.following(640, HW, *squares(32, count=0)) == 640
    assert TRAINED.following(640, HW, *squares(32, count=50, score=0.05)) == 640
    # A quarter of a lesion half as large, against one of the trained size: by 2 ** (1 / 5).
    assert TRAINED.following(640, HW, *squares(32, count=1, score=0.25)) == 640
    # A photo is never blown up to more than three times its own pixels.
    assert TRAINED.first((100, 80)) == 300
    assert TRAINED.following(640, (320, 320), *squares(4)) == 960


def test_sure_detections_weigh_more_and_without_any_sizes_are_as_believed():
    # Of 0.9 + 0.9 + 0.3 + 0.3 + 0.3 the middle lies in the second of the larger ones.
    sides = np.array([20, 20, 10, 10, 10.0])
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    scores = np.array([0.9, 0.9, 0.3, 0.3, 0.3])
    assert lesion_size(boxes, scores, prior_px=20) == pytest.approx(20)
    assert lesion_size(boxes, scores[::-1], prior_px=10) == pytest.approx(10)
    assert lesion_size(np.empty((0, 4)), np.empty(0), prior_px=7) == 7
    assert lesion_size(np.zeros((3, 4)), np.ones(3), prior_px=7) == 7  # boxes without area


@pytest.mark.parametrize(
    ("sizing", "side", "sizes"),
    [
        (TRAINED, 32, [(640, 480), (1280, 960)]),
        (TRAINED, 64, [(640, 480)]),
        (PhotoSizing(size_px=640, lesion_px=32.0, wanted=960), 16, [(960, 720)]),
    ],
)
def test_a_photo_is_seen_again_until_lesions_measure_what_they_should(sizing, side, sizes):
    seen = []
    found = see(np.zeros((*HW, 3), np.uint8), sizing, look_for(side, seen))
    assert [picture.shape[:2] for picture in seen] == sizes
    assert found.photo_size_px == max(sizes[-1])
    np.testing.assert_allclose(found.boxes_xyxy, squares(side)[0], rtol=1e-6)


@pytest.mark.parametrize(
    "sizing", [PhotoSizing(), PhotoSizing(size_px=640, lesion_px=32.0, wanted="native")]
)
def test_native_photos_are_seen_as_they_are(sizing):
    photo_bgr, seen = np.zeros((*HW, 3), np.uint8), []
    assert see(photo_bgr, sizing, look_for(9, seen)).photo_size_px == 1280
    assert len(seen) == 1
    assert seen[0] is photo_bgr


def test_boxes_stay_in_the_photo():
    # A photo of 3 x 1000 becomes 2 x 640, whose boxes are stretched by 1.5 and 1.5625.
    def look(picture):
        height, width = picture.shape[:2]
        return detections([(0, 1.0, [0, 0, width, height])])

    found = see(np.zeros((3, 1000, 3), np.uint8), PhotoSizing(size_px=640), look)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 1000, 3]])


@pytest.mark.parametrize(
    ("sizing", "name", "merge_name"),
    [
        (PhotoSizing(), "native", "nms"),
        (PhotoSizing(size_px=640), "640", "nms, photo size 640"),
        (TRAINED, "auto", "nms, photo size auto"),
        (PhotoSizing(wanted=640), "640", "nms, photo size 640"),
        (PhotoSizing(size_px=640, lesion_px=32.0, wanted="native"), "native", "nms"),
    ],
)
def test_what_chooses_the_size_has_a_name(sizing, name, merge_name):
    assert sizing.name == name
    assert sizing.merge_name == merge_name


def test_smaller_pictures_hold_the_mean_of_the_pixels():
    photo_bgr = np.zeros((4, 8, 3), np.uint8)
    photo_bgr[:, ::2] = 100
    assert (resize(photo_bgr, 4) == 50).all()
    assert resize(photo_bgr, 4).shape == (2, 4, 3)
    assert resize(photo_bgr, 16).shape == (8, 16, 3)
    assert resize(np.zeros((1, 900, 3), np.uint8), 32).shape == (1, 32, 3)


@pytest.mark.parametrize("wanted", [0, 20_000, "large", 64.5])
def test_sizes_out_of_range_are_refused(wanted):
    with pytest.raises(UserError, match="auto, native, or a long side of 32 to 16384"):
        PhotoSizing(wanted=wanted)


# The third: (700 + 64) / 2 = 382, rounded up to 384; the second tile starts at 700 - 384. The
# fourth: exact tiles share more instead of being smaller, and the height is not cut.
@pytest.mark.parametrize(
    ("hw", "exact", "expected"),
    [
        ((640, 640), False, [[0, 0, 640, 640]]),
        ((300, 477), False, [[0, 0, 477, 300]]),
        ((100, 700), False, [[0, 0, 384, 100], [316, 0, 700, 100]]),
        ((100, 700), True, [[0, 0, 640, 100], [60, 0, 700, 100]]),
    ],
)
def test_even_tiles_are_no_longer_than_they_need_be(hw, exact, expected):
    assert_array_equal(even_grid(hw, tile_px=640, overlap_px=64, exact=exact), expected)


def test_photos_of_several_rows_of_tiles():
    # 3456 takes three tiles: (3456 + 2 * 128) / 3 = 1237.3, rounded up to 1248, and the last starts
    # at 2208. 3112 likewise: 1152.
    tiles = even_grid((3456, 3112), tile_px=1280, overlap_px=128)
    assert_array_equal(tiles[[0, -1]], [[0, 0, 1152, 1248], [1960, 2208, 3112, 3456]])
    assert len(tiles) == 9
    # Training's grid, where its tiles fit exactly: 1600 = 640 + 3 * 320.
    even = even_grid((1600, 1600), tile_px=640, overlap_px=320)
    assert_array_equal(even, tile_grid((1600, 1600)))


@settings(deadline=None)
@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    tile_px=st.integers(1, 700),
    share=st.floats(0, 0.9),
)
def test_tiles_cover_the_photo_and_share_the_overlap(height, width, tile_px, share):
    overlap_px = int(share * tile_px)
    if tile_px - overlap_px < 20:  # thousands of tiles
        tile_px += 20
    tiles = even_grid((height, width), tile_px=tile_px, overlap_px=overlap_px)
    sides = tiles[:, 2:] - tiles[:, :2]
    assert (sides == sides[0]).all()
    assert sides.max() <= tile_px
    for start, end, length in ((0, 2, width), (1, 3, height)):
        intervals = sorted({(tile[start], tile[end]) for tile in tiles.tolist()})
        assert intervals[0][0] == 0
        assert intervals[-1][1] == length
        for (_, end_before), (start_after, _) in itertools.pairwise(intervals):
            assert end_before - start_after >= overlap_px


@pytest.mark.parametrize("grid", [even_grid, tile_grid])
def test_wrong_numbers_are_refused(grid):
    for overlap_px in (-1, 640, 700):
        with pytest.raises(ValueError, match=f"overlap_px={overlap_px}.*Choose a smaller overlap"):
            grid((1000, 1000), tile_px=640, overlap_px=overlap_px)
    with pytest.raises(ValueError, match="Received a side of 0"):
        grid((0, 100), tile_px=64, overlap_px=32)


def test_parts_meet_in_the_middle_of_the_overlap_and_one_tile_answers_for_all():
    tiles, far = np.array([[0, 0, 100, 50], [80, 0, 180, 50]]), np.inf  # they share 80 to 100
    assert_array_equal(own_parts(tiles, 0), [[-far, -far, 90, far], [90, -far, far, far]])
    assert_array_equal(own_parts(tiles, 5), [[-far, -far, 95, far], [85, -far, far, far]])
    assert_array_equal(own_parts(tiles[:1], 3), [[-far, -far, far, far]])


def test_every_place_is_in_one_part_and_in_its_tile():
    tiles = even_grid((300, 410), tile_px=128, overlap_px=32)
    tiles = tiles[np.random.default_rng(0).permutation(len(tiles))]
    parts = own_parts(tiles, 0)[:, None]
    places = np.random.default_rng(1).uniform(0, [410, 300], (500, 2))
    owned = ((places >= parts[..., :2]) & (places <= parts[..., 2:])).all(axis=2)
    assert (owned.sum(axis=0) == 1).all()
    owner = tiles[owned.argmax(axis=0)]
    # Half of the least overlap, 16, lies between a place and the inner edges of its tile.
    assert ((owner[:, :2] == 0) | (places - owner[:, :2] >= 16)).all()
    assert ((owner[:, 2:] == [410, 300]) | (owner[:, 2:] - places >= 16)).all()
