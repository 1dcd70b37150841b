"""200 damaged or odd files: none ends the run, each is predicted upright or has its reason."""

import csv
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from acnet.photos import worker
from acnet.photos.draw import DrawingOptions, save_picture
from tests.photos.bright_square import SIZE_WH, SQUARE_XYXY, photo, predict

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

FORMATS = (".avif", ".bmp", ".gif", ".jp2", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".webp")
# What a camera stores so that a viewer's correction gives the photo back: the inverse of it.
TURNS = (
    *("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE"),
    *("ROTATE_90", "TRANSVERSE", "ROTATE_270"),
)
STORED = {1: None} | {tag: Image.Transpose[turn] for tag, turn in enumerate(TURNS, start=2)}
MODES = (
    *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "I;16", "F"),
)
DEEP = ("I", "I;16", "I;16B", "F")
TOTAL = 200


def in_mode(mode: str) -> Image.Image:
    """Return the photo in one of Pillow's modes."""
    grey = photo().convert("L")
    if mode == "1":
        return grey.convert("1", dither=Image.Dither.NONE)
    if mode == "PA":
        return grey.convert("LA").convert("PA")
    if mode == "I;16":
        return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    if mode == "LAB":
        profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        return ImageCms.profileToProfile(photo(), *profiles, outputMode="LAB")
    return photo().convert(mode)


def write_modes(folder: Path) -> set[str]:
    """Write each mode in each format that takes it; some turn deep grey into white as they save."""
    names = set()
    for mode, suffix in itertools.product(MODES, FORMATS):
        path = folder / f"mode_{mode.replace(';', '')}{suffix}"
        try:
            in_mode(mode).save(path)
            with Image.open(path) as image:
                is_kept = mode not in DEEP or image.mode in DEEP
        except (OSError, ValueError):  # the format does not take the mode
            is_kept = False
        if is_kept:
            names.add(path.name)
        else:
            path.unlink(missing_ok=True)
    return names


def write_turned(folder: Path) -> set[str]:
    """Write all EXIF values, and some that mean nothing, which leave the photo as it is."""
    names = set()
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        for orientation in (*STORED, 0, 9, 65535):
            turn = STORED.get(orientation)
            image = photo() if turn is None else photo().transpose(turn)
            exif = Image.Exif()
            exif[0x0112] = orientation
            names.add(f"exif_{orientation}{suffix}")
            image.save(folder / f"exif_{orientation}{suffix}", exif=exif)
    return names


def write_several_frames_and_wrong_endings(folder: Path) -> set[str]:
    names = {f"frames{suffix}" for suffix in (".gif", ".tif", ".webp", ".png")}
    for name in names:
        photo().save(folder / name, save_all=True, append_images=[Image.new("RGB", SIZE_WH)])
    for true, said in [("PNG", ".jpg"), ("JPEG", ".png"), ("TIFF", ".jpg"), ("WEBP", ".bmp")]:
        names.add(f"really_{true}{said}")
        photo().save(folder / f"really_{true}{said}", format=true)
    return names


def write_no_pictures(folder: Path) -> set[str]:
    contents = {
        "empty.jpg": b"",
        "empty.png": b"",
        "text.jpg": b"no picture",
        "text.tif": b"II*\x00 and then words",
        "page.webp": b"<!doctype html><title>404</title>",
        "archive.jpg": b"PK\x03\x04" + bytes(60),
        "zeros.jpg": bytes(4096),
        "start.jpg": b"\xff\xd8\xff",
        "huge.ppm": b"P6 100000 100000 255\n",
        "raw.heic": b"\x00\x00\x00\x18ftypheic" + bytes(40),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return set(contents)


def write_damaged(folder: Path, count: int) -> set[str]:
    """Cut photos short, and overwrite bytes in others, at seeded random places."""
    chance = random.Random(0)
    names = set()
    for number in range(count):
        suffix = FORMATS[number % len(FORMATS)]
        name = f"damaged_{number}{suffix}"
        photo(size_wh=(96, 64)).save(folder / name)
        content = bytearray((folder / name).read_bytes())
        if number % 2:
            content = content[: chance.randrange(1, len(content))]
        else:
            for _ in range(20):
                content[chance.randrange(len(content))] = chance.randrange(256)
        (folder / name).write_bytes(content)
        names.add(name)
    return names


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Predict the 200 files once."""
    root = tmp_path_factory.mktemp("odd")
    folder, output = root / "photos", root / "out"
    folder.mkdir()
    good = write_modes(folder) | write_turned(folder)
    good |= write_several_frames_and_wrong_endings(folder)
    files = {"good": good, "bad": write_no_pictures(folder)}
    files["damaged"] = write_damaged(folder, TOTAL - len(files["good"]) - len(files["bad"]))

    def quick_pictures(folder: Path, stem: str, photo_bgr: np.ndarray, *found, **options) -> dict:
        save_picture(folder / "pictures" / f"{stem}.png", photo_bgr)
        return {"picture": f"pictures/{stem}.png"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "write_pictures", quick_pictures)
        outcome = predict(folder, output, drawing=DrawingOptions())
    return files, outcome, output


def test_files_are_predicted_or_listed_and_damage_is_noticed(run):
    files, outcome, _ = run
    assert sum(map(len, files.values())) == TOTAL
    predicted = {result.name for result in outcome.results}
    failed = {failure.name for failure in outcome.failed}
    assert predicted | failed == set().union(*files.values())
    assert len(outcome.results) + len(outcome.failed) == TOTAL
    assert files["good"] <= predicted
    assert files["bad"] <= failed
    assert len(files["damaged"] & failed) > len(files["damaged"]) / 2


def test_the_square_is_where_it_is_in_the_upright_photo(run):
    # A box of 8 x 8 at (8, 4); lossy formats blur its edges by a pixel or two.
    files, outcome, _ = run
    found = {result.name: [row["bbox"] for row in result.rows] for result in outcome.results}
    for name in sorted(files["good"]):
        ((x, y, width, height),) = found[name]
        assert [x, y, x + width, y + height] == pytest.approx(SQUARE_XYXY, abs=2), name
    for name in ("exif_6.png", "exif_5.tif", "mode_RGBA.png", "mode_I16.tif", "mode_F.tif"):
        assert found[name] == [[8, 4, 8, 8]], name


def test_every_failure_is_listed_with_its_reason_and_no_folder(run):
    _, outcome, output = run
    with (output / "failed.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["photo"]: row["reason"] for row in csv.DictReader(file)}
    assert rows == {failure.name: failure.reason for failure in outcome.failed}
    assert all(len(reason) > 20 for reason in rows.values())
    assert not [reason for reason in rows.values() if str(output.parent) in reason]
    page = (output / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in rows)
    # Ids of the files say which they are.
    images = json.loads((output / "images.json").read_text())["images"]
    expected = [(result.image_id, result.name) for result in outcome.results]
    assert [(image["id"], image["file_name"]) for image in images] == expected
