"""What a prediction must not tell: who, where, with what; and nobody may be asked or told."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.cli.predicting import files_below, predict, read_counts, save_noise

# Every socket that Python opens is seen by its audit hooks, in C modules of its own too.
GUARD = """
import os, sys

def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["SOCKET_LOG"], "a") as file:
            file.write(f"{event} {args}\\n")
        raise OSError("a prediction wants the network")

sys.addaudithook(watch)
"""


@pytest.fixture
def clinic(tmp_path) -> Path:
    """Return a folder with a telling name of photos with telling metadata, one of them broken."""
    folder = tmp_path / "home" / "SECRET-user" / "photos"
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif[0x010F] = "SECRET camera"
    gps = exif.get_ifd(0x8825)
    gps[29] = "SECRET date of GPS"
    save_noise(folder / "a.jpg", 64, 96, exif=exif, comment=b"SECRET comment")
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "SECRET author")
    save_noise(folder / "b.png", 64, 96, pnginfo=text, exif=exif)
    save_noise(folder / "c.tif", 64, 96, exif=exif)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff SECRET")
    (folder / "lost.png").write_bytes((folder / "b.png").read_bytes()[:80])
    assert all(b"SECRET" in path.read_bytes() for path in folder.iterdir() if path.stem != "lost")
    return folder


@pytest.mark.parametrize("options", [["--attention"], ["--picture-format", "png"], ["--share"]])
def test_outputs_carry_no_metadata_and_no_folder(tmp_path, clinic, weights, options):
    out = tmp_path / "out"
    assert predict(clinic, "--weights", weights, "--output", out, *options) == 1
    written = [path for path in out.rglob("*") if path.is_file()]
    assert any(".parts" in path.parts for path in written)
    for path in written:
        content = path.read_bytes()
        assert b"SECRET" not in content, path
        assert str(tmp_path).encode() not in content, path
        assert str(weights.parent).encode() not in content, path
        assert b"exif" not in content.lower(), path
        assert "SECRET" not in str(path.relative_to(out))


def test_the_same_names_in_two_folders_take_only_the_folders_that_tell_them_apart(
    tmp_path, weights
):
    for person in ("left", "right"):
        save_noise(tmp_path / "SECRET" / person / "x.jpg", 64, 64)
    out = tmp_path / "out"
    folders = [tmp_path / "SECRET" / person for person in ("left", "right")]
    predict(*folders, "--weights", weights, "--output", out)
    assert [row["photo"] for row in read_counts(out)] == ["left/x.jpg", "right/x.jpg"]
    assert b"SECRET" not in b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())


def test_shared_results_hold_no_photo_and_no_name(tmp_path, photos, weights):
    out = tmp_path / "out"
    # A score of 0 counts boxes of every size; those that could show a face are not cut out.
    share = ["--share", "--score-threshold", 0]
    assert predict(photos, "--weights", weights, "--output", out, *share) == 0
    names = files_below(out)
    assert {name.split("/")[0] for name in names} <= {
        *("counts.csv", "images.json", "index.html", "lesions.csv", "predictions.json"),
        *("schematics", "crops"),
    }
    assert "schematics/photo_0001.svg" in names
    text = b"".join((out / name).read_bytes() for name in names)
    assert b"a.png" not in text
    assert b"photo 0001" in text


def test_shared_crops_show_a_small_part_of_the_photo(tmp_path, weights):
    # A photo of 256 x 256 in which each pixel has a colour of its own: which ones are shown?
    side = 256
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    Image.fromarray(np.dstack([rows, columns, rows ^ columns])).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    options = ["--share", "--score-threshold", 0, "--picture-format", "png"]
    predict(tmp_path / "photo.png", "--weights", weights, "--output", out, *options)
    for path in (out / "crops").glob("*"):
        with Image.open(path) as sheet:
            assert max(sheet.size) <= 8 * 100 + 4  # at most 64 crops
            crop = np.asarray(sheet)[4:100, 4:100]
            # Of the photo's 256 rows and columns a crop shows 32, and half of that around it.
            assert np.ptp(crop[..., 0].astype(int)) <= 64
            assert np.ptp(crop[..., 1].astype(int)) <= 64


def test_sharing_next_to_faces_is_refused(tmp_path, photos, weights, capsys):
    out = tmp_path / "out"
    predict(photos, "--weights", weights, "--output", out)
    assert predict(photos, "--weights", weights, "--output", out, "--share") == 2
    error = capsys.readouterr().err.rstrip()
    assert "which has pictures/ of another run" in error
    assert error.endswith("name a new folder.")


def test_a_prediction_asks_nobody_as_the_guard_would_notice(
    tmp_path, repo_root, run_python, photos, weights
):
    guard, log = tmp_path / "guard", tmp_path / "sockets.log"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    log.touch()
    places = {"PYTHONPATH": f"{guard}{os.pathsep}{repo_root}", "SOCKET_LOG": str(log)}
    words = ["-m", "acnet.cli.main", "predict", photos, "--attention"]
    run_python(*words, "--weights", weights, "--output", tmp_path / "out", **places)
    assert log.read_text() == ""
    code = "import urllib.request as r; r.urlopen('http://192.0.2.1/', timeout=1)"
    run_python("-c", code, status=1, **places)
    assert "192.0.2.1" in log.read_text()
