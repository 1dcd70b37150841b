"""`acnet data import`: options, report and errors."""

import json
import shlex

import pytest

from acnet.cli.main import main
from tests.data.small_sets import acne04_v2, yolo


def run(capsys, *words):
    """Returns the exit status, stdout and stderr."""
    status = main(["data", "import", *map(str, words)])
    return status, *capsys.readouterr()


def test_import_and_the_command_in_the_manifest_repeats_it(tmp_path, capsys, monkeypatch):
    yolo(tmp_path / "src")
    monkeypatch.chdir(tmp_path)
    words = [tmp_path / "src", "dst", "--format", "yolo", "--workers", 1, "--splits", "train"]
    status, text, _ = run(capsys, *words, "--class-map", "acne=lesion", " scar = old scar")
    assert status == 0
    assert ["dst_train", "2", "6", "0"] in [line.split() for line in text.splitlines()]
    manifest = json.loads((tmp_path / "dst" / "manifest.json").read_text())
    assert manifest["class_names"] == ["lesion", "old scar"]
    assert list(manifest["splits"]) == ["train"]
    assert str(tmp_path) not in json.dumps(manifest)
    before = (tmp_path / "dst" / "manifest.json").read_bytes()
    assert main(shlex.split(manifest["command"])[1:]) == 0
    assert (tmp_path / "dst" / "manifest.json").read_bytes() == before
    capsys.readouterr()


@pytest.mark.parametrize("earlier", [[], ["auto"], ["acne04_v2"]])
def test_the_default_is_to_recognise_the_format(tmp_path, capsys, earlier):
    acne04_v2(tmp_path / "src")
    words = [*earlier, tmp_path / "src", tmp_path / "dst", "--one-class", "x"]
    status, text, _ = run(capsys, *words)
    assert status == 0
    assert "read as acne04_v2" in text


def test_tiles_are_cut_as_well_by_the_same_options(tmp_path, capsys, monkeypatch):
    yolo(tmp_path / "src")
    words = ["src", "dst", "--tiles", "--tile", 32, "--overlap", 8, "--virtual", "--splits", "val*"]
    monkeypatch.chdir(tmp_path)
    assert run(capsys, *words, "--workers", 1)[0] == 0
    manifest = json.loads((tmp_path / "dst" / "manifest.json").read_text())
    assert manifest["tiles"]["options"]["tile_px"] == 32
    assert list(manifest["tiles"]["splits"]) == ["val"]
    assert manifest["command"].endswith(" --tiles --tile 32 --overlap 8 --virtual")


def test_a_users_mistake_is_one_line(tmp_path, capsys):
    status, _, error = run(capsys, "auto", tmp_path / "none", tmp_path / "dst")
    assert status == 2
    assert error.startswith("acnet: error: A data set is read from a folder")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "words",
    [
        ["kitti", "a", "b"],
        ["a"],
        ["a", "b", "c"],
        ["yolo", "a", "b", "--class-map", "acne"],
        ["yolo", "a", "b", "--class-map", "=acne"],
        ["yolo", "a", "b", "--class-map", "a=b", "--one-class", "c"],
        ["yolo", "a", "b", "--workers", "0"],
    ],
)
def test_wrong_options(words, capsys):
    with pytest.raises(SystemExit):
        main(["data", "import", *words])
    assert "usage: acnet data import" in capsys.readouterr().err
