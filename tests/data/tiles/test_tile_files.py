"""The pixels of written tiles against the photo's, and photos that cannot be cut."""

import numpy as np
import pytest
from PIL import Image

from acnet.data.records import TileRecord
from acnet.data.tiles.tile_plan import CutPhoto, Journal, Photo, TileOptions, cut_photo
from acnet.errors import UnreadableFileError
from acnet.photos.read import read_bgr
from tests.data.samples import write_photo

JPEG = TileOptions(tile_px=64, overlap_px=32, jpeg_quality=100)
PNG = TileOptions(tile_px=64, overlap_px=32, image_format="png")
WINDOWS = [(0, 0, 64, 64), (31, 6, 95, 70), (86, 6, 150, 70)]


def photo(image_hw, *windows, name="levle0_1.png", suffix=".jpg") -> Photo:
    tiles = [
        TileRecord(
            file_name=f"{i}{suffix}",
            width=right - left,
            height=bottom - top,
            boxes_xyxy=np.zeros((0, 4)),
            classes=np.zeros(0, np.int64),
            photo_file_name=name,
            offset_xy=(left, top),
        )
        for i, (left, top, right, bottom) in enumerate(windows)
    ]
    return Photo(name, image_hw, tuple(tiles))


def cut(tmp_path, wanted, options, known=None, *, below="."):
    roots = {"image_root": tmp_path / below, "tile_root": tmp_path / "tiles"}
    return cut_photo(wanted, **roots, options=options, known=known)


@pytest.mark.parametrize("options", [JPEG, PNG])
def test_tiles_hold_the_photos_pixels(tmp_path, options):
    write_photo(tmp_path / "levle0_1.png", (70, 150))
    done = cut(tmp_path, photo((70, 150), *WINDOWS, suffix=options.suffix), options)
    whole = read_bgr(tmp_path / "levle0_1.png").astype(int)
    for i, (left, top, right, bottom) in enumerate(WINDOWS):
        path = tmp_path / "tiles" / f"{i}{options.suffix}"
        off = np.abs(read_bgr(path) - whole[top:bottom, left:right])
        # The window's place decides its pixels; the margin is JPEG's, a shift by 4 would show.
        assert off[..., 2].max() <= (16 if options is JPEG else 0)
        assert off.mean() <= (2 if options is JPEG else 0)
        assert done.tiles[path.name] == path.stat().st_size


@pytest.mark.parametrize("options", [JPEG, PNG])
def test_a_photo_of_one_tile_is_copied_byte_for_byte(tmp_path, options):
    exif = Image.Exif()
    exif[274] = 8
    Image.new("CMYK", (40, 30)).save(tmp_path / "levle0_1.jpg", exif=exif)
    wanted = photo((40, 30), (0, 0, 30, 40), name="levle0_1.jpg")
    cut(tmp_path, wanted, options)
    assert (tmp_path / "tiles" / "0.jpg").read_bytes() == (tmp_path / "levle0_1.jpg").read_bytes()


def test_a_photo_without_tiles_is_read_all_the_same(tmp_path):
    write_photo(tmp_path / "levle0_1.png", (70, 150))
    assert cut(tmp_path, photo((70, 150)), JPEG).tiles == {}
    truncated = (tmp_path / "levle0_1.png").read_bytes()[:-60]
    (tmp_path / "levle0_1.png").write_bytes(truncated)
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.png"):
        cut(tmp_path, photo((70, 150)), JPEG)


def test_what_is_known_is_believed_while_photo_and_tiles_are_the_same(tmp_path):
    write_photo(tmp_path / "levle0_1.png", (70, 150))
    wanted = photo((70, 150), *WINDOWS)
    known = cut(tmp_path, wanted, JPEG)
    assert cut(tmp_path, wanted, JPEG, known) is known
    for spoil in (
        (tmp_path / "tiles" / "1.jpg").unlink,
        lambda: (tmp_path / "tiles" / "2.jpg").write_bytes(b"short"),
        lambda: (tmp_path / "levle0_1.png").write_bytes(
            (tmp_path / "levle0_1.png").read_bytes() + b" "  # Pillow ignores what follows
        ),
    ):
        spoil()
        again = cut(tmp_path, wanted, JPEG, known)
        assert again is not known
        assert again.tiles == known.tiles
        known = again


def test_a_photo_that_changed_its_size_is_refused(tmp_path):
    write_photo(tmp_path / "levle0_1.png", (70, 151))
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.png.*Prepare the data set again\.$"):
        cut(tmp_path, photo((70, 150), *WINDOWS), JPEG)


def test_a_name_that_leaves_the_folder_is_refused(tmp_path):
    write_photo(tmp_path / "photo.png", (70, 150))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "photo.png")
    for name in ("../photo.png", "link.png"):
        with pytest.raises(UnreadableFileError):
            cut(tmp_path, photo((70, 150), *WINDOWS, name=name), JPEG, below="images")
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


def test_other_options_begin_anew(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {"tile_px": 640}).add(A)
    assert Journal(path, {"tile_px": 320}).known == {}
    assert Journal(path, {"tile_px": 640}).known == {}  # the tiles of 640 may be overwritten


def test_lines_of_others_are_skipped(tmp_path):
    path = tmp_path / "tiles.jsonl"
    Journal(path, {}).add(A)
    with path.open("a") as file:
        file.write('[1]\n{"photo": "c.jpg"}\nnonsense\n')
    assert Journal(path, {}).known == {"a.jpg": A}
