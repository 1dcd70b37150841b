"""The pixels of written tiles against the photo's, and photos that cannot be cut."""

import numpy as np
import pytest
from PIL import Image

from acnet.data.records import TileRecord
from acnet.data.tiles.tile_plan import CutPhoto, Journal, Photo, TileOptions, cut_photo
from acnet.errors import UnreadableFileError
from acnet.photos.read import read_bgr
from tests.data.samples import record, write_photo

JPEG = TileOptions(tile_px=64, overlap_px=32, jpeg_quality=100)
PNG = TileOptions(tile_px=64, overlap_px=32, image_format="png")
HW = (70, 150)
WINDOWS = [(0, 0, 64, 64), (31, 6, 95, 70), (86, 6, 150, 70)]


@pytest.fixture
def path(tmp_path):
    write_photo(tmp_path / "levle0_1.png", HW)
    return tmp_path / "levle0_1.png"


def photo(*windows, image_hw=HW, name="levle0_1.png", suffix=".jpg") -> Photo:
    tiles = []
    for i, (left, top, right, bottom) in enumerate(windows):
        tile = record(f"{i}{suffix}", image_hw=(bottom - top, right - left))
        tiles.append(TileRecord(**vars(tile), photo_file_name=name, offset_xy=(left, top)))
    return Photo(name, image_hw, tuple(tiles))


def cut(tmp_path, wanted, options, known=None, *, below="."):
    roots = {"image_root": tmp_path / below, "tile_root": tmp_path / "tiles"}
    return cut_photo(wanted, **roots, options=options, known=known)


@pytest.mark.parametrize("options", [JPEG, PNG])
def test_tiles_hold_the_photos_pixels(tmp_path, path, options):
    done = cut(tmp_path, photo(*WINDOWS, suffix=options.suffix), options)
    whole = read_bgr(path).astype(int)
    for i, (left, top, right, bottom) in enumerate(WINDOWS):
        tile = tmp_path / "tiles" / f"{i}{options.suffix}"
        off = np.abs(read_bgr(tile) - whole[top:bottom, left:right])
        # The window's place decides its pixels; the margin is JPEG's, a shift by 4 would show.
        assert off[..., 2].max() <= (16 if options is JPEG else 0)
        assert off.mean() <= (2 if options is JPEG else 0)
        assert done.tiles[tile.name] == tile.stat().st_size


@pytest.mark.parametrize("options", [JPEG, PNG])
def test_a_photo_of_one_tile_is_copied_byte_for_byte(tmp_path, options):
    exif = Image.Exif()
    exif[274] = 8
    Image.new("CMYK", (40, 30)).save(tmp_path / "levle0_1.jpg", exif=exif)
    wanted = photo((0, 0, 30, 40), image_hw=(40, 30), name="levle0_1.jpg")
    cut(tmp_path, wanted, options)
    assert (tmp_path / "tiles" / "0.jpg").read_bytes() == (tmp_path / "levle0_1.jpg").read_bytes()


def test_a_photo_without_tiles_is_read_all_the_same_and_has_its_size(tmp_path, path):
    assert cut(tmp_path, photo(), JPEG).tiles == {}
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.png.*Prepare the data set again\.$"):
        cut(tmp_path, photo(image_hw=(70, 151)), JPEG)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.png"):
        cut(tmp_path, photo(), JPEG)


def test_what_is_known_is_believed_while_photo_and_tiles_are_the_same(tmp_path, path):
    wanted = photo(*WINDOWS)
    known = cut(tmp_path, wanted, JPEG)
    assert cut(tmp_path, wanted, JPEG, known) is known
    for spoilt, content in (
        (tmp_path / "tiles" / "1.jpg", None),
        (tmp_path / "tiles" / "2.jpg", b"short"),
        (path, path.read_bytes() + b" "),  # Pillow ignores what follows
    ):
        spoilt.unlink()
        if content:
            spoilt.write_bytes(content)
        again = cut(tmp_path, wanted, JPEG, known)
        assert again is not known
        assert again.tiles == known.tiles
        known = again


def test_a_name_that_leaves_the_folder_is_refused(tmp_path, path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link.png").symlink_to(path)
    for name in (f"../{path.name}", "link.png"):
        with pytest.raises(UnreadableFileError):
            cut(tmp_path, photo(*WINDOWS, name=name), JPEG, below="images")
    assert not (tmp_path / "tiles").exists()


A = CutPhoto("a.jpg", "00", {"a_1.jpg": 10, "a_2.jpg": 20})
B = CutPhoto("b é.jpg", "01", {})


def test_half_a_line_is_forgotten_and_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {}).add(A)
    whole = path.read_bytes()
    Journal(path, {}).add(B)
    for end in range(len(whole), path.stat().st_size):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(path.read_bytes()[:end])
        journal = Journal(torn, {})
        assert journal.known == {"a.jpg": A}
        journal.add(B)
        assert Journal(torn, {}).known == {"a.jpg": A, "b é.jpg": B}


def test_other_options_begin_anew_and_lines_of_others_are_skipped(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {"tile_px": 640}).add(A)
    with path.open("a") as file:
        file.write('[1]\n{"photo": "c.jpg"}\nnonsense\n')
    assert Journal(path, {"tile_px": 640}).known == {"a.jpg": A}
    assert Journal(path, {"tile_px": 320}).known == {}
    assert Journal(path, {"tile_px": 640}).known == {}  # the tiles of 640 may be overwritten
