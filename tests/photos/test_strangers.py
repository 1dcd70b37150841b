"""Folders, photos and names of strangers: nothing is lost, followed or replaced, and runs end."""

import csv
import dataclasses
import errno
import io
import json
import os
import shutil
import socket
import struct
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from acnet import files
from acnet.errors import UnreadableFileError, UserError
from acnet.photos.decode import CUT, MOST_SCANS, WITHOUT_END, count_scans, in_srgb
from acnet.photos.draw import DrawingOptions
from acnet.photos.read import read_photo_file
from acnet.photos.sources import find_photos
from tests.photos.bright_square import BrightSquare, contents, make_photos, photo, predict
from tests.photos.samples import noise

WHOLE = DrawingOptions(labels="never")


@pytest.fixture
def photos(tmp_path) -> Path:
    return make_photos(tmp_path / "photos", "a.png", "b.png", "c.png")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def run(photos: Path, out: Path, **options):
    """Return the outcome and how many photos the model was asked for."""
    predictor = BrightSquare()
    return predict(photos, out, predictor, **{"drawing": WHOLE, **options}), predictor.calls


ROW = {"category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5}
SPOILT = [
    *("", "null", "[]", "7", '"a"', "{", "\xff\xfe", "[" * 100_000, '{"a":' * 100_000),
    *('{"format": 2}', '{"format": "2"}', '{"format": [2]}', "1" + "0" * 5000),
    *({name: None} for name in ("image_hw", "rows", "seconds", "drawn", "files", "warning")),
    *({"image_hw": value} for value in ([], [1], [1, 2, 3], [0, 5], [-1, 5], ["a", 5], [1e400, 1])),
    *({"image_hw": value} for value in ([10**300, 5], [True, 5], {"a": 1}, "ab", 5)),
    *({"rows": value} for value in ({}, "ab", [1], [[]], [{}], [{**ROW, "more": 1}], 3)),
    *({"rows": [{**ROW, "bbox": value}]} for value in ([], [1, 2, 3], "abcd", None, [1] * 5)),
    *({"rows": [{**ROW, "bbox": [value, 1, 2, 3]}]} for value in ("a", None, 1e300, [], 10**400)),
    *({"rows": [{**ROW, "category_id": value}]} for value in (0, 2, -1, 1.5, "1", None, 10**30)),
    *({"rows": [{**ROW, "score": value}]} for value in (2, -1, "a", None, float("nan"))),
    *({"seconds": value} for value in ("a", -1, float("inf"), 10**400, [])),
    *({"files": value} for value in ([], "a", 5, {"picture": None}, {"picture": 5}, {"": "a.jpg"})),
    *({"files": {"picture": v}} for v in ("/etc/passwd", "../a.jpg", "a/b.jpg", "..", "", "a\0b")),
    *({"drawn": value} for value in (5, [], "x" * 100_000)),
    *({"more": 1}, {"warning": 7}),
]


@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda value: repr(value)[:60])
def test_a_spoilt_record_is_made_again(tmp_path_factory, spoilt):
    photos, whole = (tmp_path_factory.getbasetemp() / name for name in ("spoilt", "spoilt-whole"))
    if not whole.exists():
        run(make_photos(photos, "a.png", "b.png"), whole)
    out = tmp_path_factory.mktemp("out") / "out"
    shutil.copytree(whole, out)
    record = sorted((out / ".parts").iterdir())[0]
    if isinstance(spoilt, dict):
        spoilt = json.dumps({**json.loads(record.read_text()), **spoilt})
    record.write_bytes(spoilt.encode("latin-1"))
    outcome, _ = run(photos, out)
    assert [len(result.rows) for result in outcome.results] == [1, 1]
    assert contents(out) == contents(whole)


@pytest.mark.parametrize("spoilt", ["", "null", "[]", '{"reason": 5}', '{"reason": null}', "{}"])
def test_a_spoilt_reason_is_found_again(photos, out, spoilt):
    (photos / "b.png").write_bytes(b"")
    run(photos, out)
    for key in [path.name[:-5] for path in (out / ".parts").glob("*.json")]:
        (out / ".parts" / f"{key}.failed.json").write_text(spoilt)
    outcome, calls = run(photos, out)
    assert [failure.name for failure in outcome.failed] == ["b.png"]
    assert calls == 0


@pytest.mark.parametrize("name", [".parts", "pictures", "thumbnails"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_links_in_the_folder_are_not_followed(photos, out, tmp_path, name, kind):
    make_photos(tmp_path / "elsewhere", "a.jpg")
    out.mkdir()
    if kind == "link":
        (out / name).symlink_to(tmp_path / "elsewhere")
    else:
        (out / name).write_text("a file")
    before = contents(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"where {name} is a link or a file; name a new folder\.$"):
        run(photos, out)
    assert contents(tmp_path / "elsewhere") == before


def test_a_linked_picture_is_neither_followed_nor_taken_for_one(photos, out, tmp_path):
    run(photos, out)
    target = tmp_path / "mine.jpg"
    target.write_bytes((out / "pictures" / "a.jpg").read_bytes())
    (out / "pictures" / "a.jpg").unlink()
    (out / "pictures" / "a.jpg").symlink_to(target)
    with pytest.raises(UserError, match=r"which holds pictures/a\.jpg"):
        run(photos, out)
    assert target.is_file()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_record_that_is_no_file_is_not_opened(photos, out, tmp_path, kind):
    run(photos, out)
    record = sorted((out / ".parts").iterdir())[0]
    record.unlink()
    if kind == "link":
        record.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(record)
    else:
        record.mkdir()
        with pytest.raises(OSError, match="directory"):
            run(photos, out)
        return
    outcome, calls = run(photos, out)
    assert (len(outcome.results), calls) == (3, 1)


@pytest.mark.parametrize("name", ["../outside.jpg", "/etc/outside", "..", "a/../outside"])
def test_a_record_of_another_run_removes_nothing_elsewhere(photos, out, name):
    run(photos, out)
    (out.parent / "outside.jpg").write_text("of somebody else")
    for record in (out / ".parts").iterdir():
        content = json.loads(record.read_text())
        record.write_text(json.dumps({**content, "files": {"picture": name}}))
        record.rename(record.with_name(f"of_another_run_{record.name}"))
    run(photos, out)
    assert (out.parent / "outside.jpg").exists()
    assert len(list((out / ".parts").iterdir())) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("index.html", "counts.csv", "predictions.json", "images.json"),
        *("pictures/a.jpg", "thumbnails/a.jpg"),
    ],
)
@pytest.mark.parametrize("ran", [False, True])
def test_files_of_others_are_not_replaced(photos, out, name, ran):
    if ran:
        run(photos, out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("<title>Mine</title>" * 9)
    before = contents(out)
    predictor = BrightSquare()
    with pytest.raises(UserError, match="name another"):
        predict(photos, out, predictor, drawing=WHOLE)
    assert predictor.calls == 0
    assert contents(out) == before
    assert (out / name).read_text() == "<title>Mine</title>" * 9


@pytest.mark.parametrize(
    "name", ["predictions.json", "counts.csv", "index.html", "pictures/me.jpg"]
)
def test_a_photo_that_lies_where_results_go_is_not_replaced(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    photo().save(tmp_path / name, format="PNG")
    before = (tmp_path / name).read_bytes()
    predictor = BrightSquare()
    with pytest.raises(UserError, match=r"must not replace the photos.*another folder for"):
        predict(tmp_path / name, tmp_path, predictor, drawing=WHOLE)
    assert predictor.calls == 0
    assert (tmp_path / name).read_bytes() == before


def test_a_picture_that_its_owner_changed_is_not_removed(photos, out):
    run(photos, out)
    (out / "pictures" / "a.jpg").write_bytes(b"my own notes on it")
    (photos / "a.png").unlink()
    run(photos, out)
    assert sorted(path.name for path in (out / "pictures").iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (IndexError("no such"), "IndexError: no such"),
        (RuntimeError("no kernel"), "RuntimeError: no kernel"),
        (MemoryError(), "it does not fit the memory"),
        (torch.OutOfMemoryError("no room"), "no room"),
    ],
)
def test_an_error_of_one_photo_is_its_own(photos, out, error, reason):
    def before(photo_bgr: np.ndarray) -> None:
        if predictor.calls == 2:
            raise error

    predictor = BrightSquare(before)
    outcome = predict(photos, out, predictor, drawing=WHOLE)
    assert [result.name for result in outcome.results] == ["a.png", "c.png"]
    assert [(failure.name, failure.reason) for failure in outcome.failed] == [("b.png", reason)]


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, image_format, **options)
    return content.getvalue()


def jpeg(mode: str = "RGB", **options) -> bytes:
    return encoded(Image.fromarray(noise(96, 64)).convert(mode), "JPEG", **options)


def with_orientation(kind: int, value: bytes) -> bytes:
    """Return a JPEG whose EXIF orientation is of any of TIFF's types."""
    size = {1: 1, 3: 2, 4: 4, 11: 4, 12: 8, 5: 8}[kind]
    place = value.ljust(4, b"\0") if size <= 4 else struct.pack("<I", 26)
    entry = struct.pack("<HHI", 274, kind, 1) + place
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4)
    return jpeg(exif=b"Exif\0\0" + tiff + (value if size > 4 else b""))


SCANS = jpeg(progressive=True)
SECOND = SCANS.index(b"\xff\xda", SCANS.index(b"\xff\xda") + 1)
ODD = {
    "inf.jpg": with_orientation(11, struct.pack("<f", float("inf"))),
    "nan.jpg": with_orientation(12, struct.pack("<d", float("nan"))),
    "by zero.jpg": with_orientation(5, struct.pack("<II", 1, 0)),
    "long.png": encoded(Image.new("1", (65_536, 2)), "PNG"),
    "spider.jpg": struct.pack(">27f", *[1.0] * 4, 1.0, *[0.0] * 7, 64.0, 1.0, *[4.0] * 13),
    "scans.jpg": SCANS[:SECOND] + SCANS[SECOND:-2] * 200 + b"\xff\xd9",
}


def test_odd_photos_do_not_end_a_run(photos, out):
    for name, content in ODD.items():
        (photos / name).write_bytes(content)
    outcome, _ = run(photos, out)
    done, failed = ({one.name for one in some} for some in (outcome.results, outcome.failed))
    assert done | failed == {"a.png", "b.png", "c.png", *ODD}
    assert failed == {"long.png", "spider.jpg", "scans.jpg"}
    assert (out / "failed.csv").exists()


def test_scans_are_counted_up_to_the_end(tmp_path):
    assert count_scans(ODD["scans.jpg"]) > MOST_SCANS
    # A photo with a film behind it, whose bytes look like scans.
    assert count_scans(SCANS + b"\xff\xda" * 500) < 20
    (tmp_path / "a.jpg").write_bytes(ODD["scans.jpg"])
    with pytest.raises(UnreadableFileError, match=r"and 100 at most.*Save the photo anew\.$"):
        read_photo_file(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda whole: whole, ""),
        (lambda whole: whole[:-2], WITHOUT_END),
        (lambda whole: whole[:-1], WITHOUT_END),
        (lambda whole: whole[: len(whole) // 2] + b"\xff\xd9", CUT),
        (lambda whole: whole + b"a film behind it", ""),
    ],
)
def test_what_a_jpeg_lacks_is_told(photos, out, change, warning):
    (photos / "d.jpg").write_bytes(change(jpeg()))
    outcome, _ = run(photos, out)
    assert [result.warning for result in outcome.results] == ["", "", "", warning]
    assert run(photos, out)[0].results[3].warning == warning  # also when it is done already
    assert (out / "warnings.csv").exists() == bool(warning)
    assert warning in (out / "index.html").read_text()
    for mode in ("L", "CMYK"):
        whole = jpeg(mode=mode, quality=90)
        photo = read_photo_file("a.jpg", change(whole))
        assert photo.warning == warning
        if warning != CUT:  # the pixels that Pillow gives
            expected = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))[:, :, ::-1]
            np.testing.assert_array_equal(photo.image_bgr, expected)


NAMES = [
    "-x.png",
    "con.png",
    "a:b?.png",
    "a\nb.png",
    "\x1b[31mred.png",
    "=cmd|' C calc'!A0.png",
    "n\N{NO-BREAK SPACE}b.png",
    "a" * 251 + ".png",
    "\N{CYRILLIC SMALL LETTER A}" * 125 + "1.png",
    "\N{CYRILLIC SMALL LETTER A}" * 125 + "2.png",
    os.fsdecode(b"\xff\xfe.png"),
]


def test_every_name_that_the_system_takes_is_predicted(tmp_path, out):
    folder = make_photos(tmp_path / "photos", *NAMES)
    for drawing in (WHOLE, DrawingOptions(share=True)):
        place = out.with_name(f"out {drawing.share}")
        outcome, _ = run(folder, place, drawing=drawing)
        assert len(outcome.results) == len(NAMES)
        pictures = {file for result in outcome.results for file in result.files.values()}
        assert len(pictures) == len(NAMES) * (1 if drawing.share else 3)
        assert all(
            (place / file).is_file() and not set('<>:"|?*\\') & set(file) for file in pictures
        )
    with (out.with_name("out False") / "counts.csv").open(encoding="utf-8", newline="") as file:
        cells = [row["photo"] for row in csv.DictReader(file)]
    assert not [cell for cell in cells if cell.startswith(("=", "-", "+", "@"))]
    assert "%FF%FE.png" in cells


@pytest.mark.parametrize("name", ["Anna Schmidt.png", "Anna\N{NO-BREAK SPACE}Schmidt.png", "x.png"])
@pytest.mark.parametrize("content", [b"", b"no picture", ODD["long.png"]])
def test_shared_results_name_nobody_and_call_photos_by_number(tmp_path, out, caplog, name, content):
    folder = make_photos(tmp_path / "Doctor\N{NO-BREAK SPACE}Quirk", "a.png")
    (folder / name).write_bytes(content)
    outcome, _ = run(folder, out, drawing=DrawingOptions(share=True))
    (failure,) = outcome.failed
    assert failure.name.startswith("photo 000")
    assert f"Received {failure.name}" in failure.reason
    told = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for secret in ("Anna", "Schmidt", "Doctor", "Quirk", str(tmp_path), name):
        assert secret.encode() not in told
        assert secret not in caplog.text


def test_what_is_no_photo_in_a_folder_is_skipped_with_a_word(photos, out, caplog):
    os.mkfifo(photos / "pipe.jpg")
    (photos / "device.jpg").symlink_to("/dev/zero")
    (photos / "lost.jpg").symlink_to("nowhere")
    (photos / "deeper").mkdir()
    (photos / "page.svg").write_text("<svg/>")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(photos / "socket.jpg"))
        found = find_photos([photos, photos / "pipe.jpg", photos / "lost.jpg"])
    assert [source.name for source in found] == ["a.png", "b.png", "c.png"]
    for words in (
        "folders that are not searched (1)",
        "links to nothing, devices or pipes",
        "1 pictures of kinds",
        "lost",
    ):
        assert words in caplog.text


@pytest.mark.parametrize("step", range(1, 14, 2))
def test_a_full_disk_leaves_no_half_and_a_rerun_completes(photos, out, monkeypatch, step):
    calls, sync = [], os.fsync

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == step:
            os.ftruncate(descriptor, 1)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run(photos, out)
    assert not [path for path in out.rglob("*.*") if path.is_file() and path.stat().st_size == 1]
    assert len(run(photos, out)[0].results) == 3
    whole = out.with_name("whole")
    run(photos, whole)
    assert contents(out) == contents(whole)


def test_cleaning_up_does_not_hide_the_first_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "unlink", Mock(side_effect=OSError(errno.EIO, "the second")))
    with pytest.raises(OSError, match="the first"), files.atomic_write(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "the first")


@pytest.mark.parametrize("name", ["a" * 255, "a" * 251 + ".jpg", "b." + "c" * 253, "\u0430" * 127])
def test_a_name_of_255_bytes_can_be_written(tmp_path, name):
    files.write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def swapped_profile() -> bytes:
    """Return an ICC profile whose red is sRGB's green and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"xXYZ").replace(b"gXYZ", b"rXYZ").replace(b"xXYZ", b"gXYZ")


def test_colours_of_another_profile_are_shown_as_they_are(tmp_path, out):
    folder = tmp_path / "photos"
    folder.mkdir()
    profile = swapped_profile()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(folder / "a.png", icc_profile=profile)
    seen = []
    detector = BrightSquare(seen.append)
    detector.saliency = Mock(return_value=np.zeros((64, 64), np.float32))
    predict(folder, out, detector, drawing=dataclasses.replace(WHOLE, attention=True))
    with Image.open(out / "pictures" / "a.jpg") as picture:
        red, green, _ = picture.getpixel((32, 32))
    assert green > 180
    assert red < 60
    # The model sees what is stored, as in training, for its boxes and for its attention.
    for photo_bgr in (*seen, detector.saliency.call_args.args[0]):
        assert photo_bgr[0, 0].tolist() == [30, 30, 200]


@pytest.mark.parametrize("profile", [None, b"", b"no profile", bytes(200), swapped_profile()[:150]])
def test_a_profile_that_is_none_changes_nothing(profile):
    np.testing.assert_array_equal(in_srgb(noise(8, 8), profile), noise(8, 8))


@pytest.mark.parametrize("bom", [False, True])
def test_tables_begin_with_a_mark_where_it_is_asked_for(photos, out, bom):
    (photos / "d.png").write_bytes(b"")
    for _ in range(2):
        run(photos, out, bom=bom)
    for name in ("counts.csv", "failed.csv"):
        assert (out / name).read_bytes().startswith(b"\xef\xbb\xbf") == bom
