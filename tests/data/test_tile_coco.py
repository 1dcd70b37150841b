"""Tiles: pixels and boxes against the photo, and the choice of empty ones."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.data.images import UnreadableFileError, read_bgr
from acnet.data.records import ImageRecord, TileRecord
from acnet.data.tile_coco import TileOptions, cut_photo, plan_tiles, training_tiles
from tests.data.samples import write_photo

OPTIONS = TileOptions(tile_px=64, overlap_px=32, jpeg_quality=100)


def photo(image_hw, *boxes, name="levle0_1.png") -> ImageRecord:
    return ImageRecord(
        file_name=name,
        width=image_hw[1],
        height=image_hw[0],
        boxes_xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        classes=np.arange(len(boxes)),
    )


def test_boxes_are_shared_out_by_hand():
    # 100 wide: columns at 0, 32 and 100 - 64 = 36; 50 high: one row, bounded by the photo.
    tiles = plan_tiles(photo((50, 100), (10, 5, 20, 15), (60, 10, 80, 30)), OPTIONS)
    assert [tile.offset_xy for tile in tiles] == [(0, 0), (32, 0), (36, 0)]
    assert {(tile.width, tile.height) for tile in tiles} == {(64, 50)}
    # The first box is whole in the first tile only; of the second, 4/20 lie in the first tile.
    assert [tile.boxes_xyxy.tolist() for tile in tiles] == [
        [[10, 5, 20, 15]],
        [[28, 10, 48, 30]],
        [[24, 10, 44, 30]],
    ]
    assert [tile.classes.tolist() for tile in tiles] == [[0], [1], [1]]
    assert [tile.file_name for tile in tiles] == [
        "levle0_1_y00000_x00000.jpg",
        "levle0_1_y00000_x00032.jpg",
        "levle0_1_y00000_x00036.jpg",
    ]


def test_every_box_returns_to_its_place_from_a_tile_that_holds_it_whole():
    rng = np.random.default_rng(1)
    start = rng.integers(0, (170, 110), (100, 2))
    boxes = np.concatenate([start, start + rng.integers(1, 31, (100, 2))], axis=1)
    record = photo((140, 200), *boxes)
    found = np.zeros(len(boxes), bool)
    for tile in plan_tiles(record, OPTIONS):
        back = tile.boxes_xyxy + np.tile(tile.offset_xy, 2)
        same = (back == record.boxes_xyxy[tile.classes]).all(axis=1)  # classes number the boxes
        found[tile.classes[same]] = True
    assert found.all()  # boxes are smaller than the overlap, so none is cut everywhere


def test_tiles_hold_the_photos_pixels(tmp_path):
    write_photo(tmp_path / "levle0_1.png", (70, 150))
    record = photo((70, 150), (10, 5, 20, 15))
    tiles = cut_photo(record, image_root=tmp_path, tile_root=tmp_path / "tiles", options=OPTIONS)
    whole = read_bgr(tmp_path / "levle0_1.png").astype(int)
    assert len(tiles) == len(list((tmp_path / "tiles").iterdir())) == 8
    for tile in tiles:
        x, y = tile.offset_xy
        window = whole[y : y + tile.height, x : x + tile.width]
        pixels = read_bgr(tmp_path / "tiles" / tile.file_name).astype(int)
        assert pixels.shape == window.shape
        # The window's place decides its pixels; the margin is JPEG's, a shift by 4 would show.
        assert np.abs(pixels - window)[..., 2].max() <= 16
        assert np.abs(pixels - window).mean() <= 2


def test_a_photo_of_one_tile_is_copied_byte_for_byte(tmp_path):
    exif = Image.Exif()
    exif[274] = 8
    Image.new("RGB", (40, 30)).save(tmp_path / "levle0_1.jpg", exif=exif)
    record = photo((40, 30), (0, 0, 30, 40), name="levle0_1.jpg")
    (tile,) = cut_photo(record, image_root=tmp_path, tile_root=tmp_path / "t", options=OPTIONS)
    assert (tile.file_name, tile.offset_xy) == ("levle0_1.jpg", (0, 0))
    assert (tile.width, tile.height) == (30, 40)
    assert (tmp_path / "t" / "levle0_1.jpg").read_bytes() == (
        tmp_path / "levle0_1.jpg"
    ).read_bytes()


def test_one_tile_is_no_tiling():
    record = photo((50, 60), (1, 2, 30, 40), (50, 40, 60, 50))
    (tile,) = plan_tiles(record, OPTIONS)
    assert_array_equal(tile.boxes_xyxy, record.boxes_xyxy)
    assert tile.file_name == record.file_name


def test_a_photo_that_changed_its_size_is_refused(tmp_path):
    write_photo(tmp_path / "levle0_1.png", (70, 151))
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.png.*Prepare the data set again\.$"):
        cut_photo(photo((70, 150)), image_root=tmp_path, tile_root=tmp_path, options=OPTIONS)


def empty_tile(index: int) -> TileRecord:
    return TileRecord(
        **vars(photo((64, 64), name=f"{index}.jpg")), photo_file_name="a.jpg", offset_xy=(0, 0)
    )


def test_a_share_of_the_empty_tiles_is_chosen_by_name():
    empty = [empty_tile(i) for i in range(1000)]
    full = TileRecord(
        **vars(photo((64, 64), (1, 1, 5, 5), name="full.jpg")),
        photo_file_name="a.jpg",
        offset_xy=(0, 0),
    )
    assert training_tiles([full, *empty], 0.0) == [full]
    assert training_tiles([full, *empty], 1.0) == [full, *empty]
    tenth = training_tiles([full, *empty], 0.1)
    # 1000 trials at 0.1: mean 100, standard deviation sqrt(1000 * 0.1 * 0.9) = 9.5
    assert 60 <= len(tenth) - 1 <= 140
    names = {tile.file_name for tile in tenth}
    assert names <= {tile.file_name for tile in training_tiles([full, *empty], 0.2)}
    half = training_tiles(empty[500:], 0.1)
    assert {tile.file_name for tile in half} == names - {"full.jpg"} - {
        f"{i}.jpg" for i in range(500)
    }


def test_no_tiles():
    assert training_tiles([], 0.5) == []
