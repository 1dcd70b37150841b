"""`acnet data check`: what it writes, and its exit status."""

import json

import pytest

from acnet.cli.main import main
from tests.data.audit.planter import SMALL, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    dst = tmp_path_factory.mktemp("planted") / "set"
    return dst, plant(dst, SMALL)


def check(*words) -> int:
    return main(["data", "check", *map(str, words), "--workers", "1"])


def test_errors_are_shown_written_and_told_by_the_exit_status(planted, tmp_path, capsys):
    src, _ = planted
    status = check(src, "--json", tmp_path / "found.json", "--page", tmp_path / "page")
    assert status == 1
    shown = capsys.readouterr().out
    assert "60 photos, 782 boxes (fore 781, cold_sore 1)" in shown
    assert "identical across parts" in shown
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["counts"]["prefix against grade"] == SMALL.wrong_prefixes
    assert len(found["findings"]) == sum(found["counts"].values())
    assert "<h2>identical photos</h2>" in (tmp_path / "page" / "index.html").read_text()


def test_the_cleaned_copy_has_no_errors_left(planted, tmp_path, capsys):
    src, _ = planted
    assert check(src, "--fix", tmp_path / "copy") == 1  # of the original
    changed = int(capsys.readouterr().out.split("a cleaned copy, ")[1].split()[0])
    # Each twin leaves the training lists of the folds that test the other: two folds a pair, and
    # more where the last lists were filled up. With it a stray object, and undecided labels.
    assert changed >= 2 * SMALL.twins + SMALL.strays + SMALL.conflicts
    assert len((tmp_path / "copy" / "changes.txt").read_text().splitlines()) == changed
    assert "--fix" in json.loads((tmp_path / "copy" / "manifest.json").read_text())["command"]


def test_anchors_can_be_chosen(planted, capsys):
    src, _ = planted
    check(src)
    assert "anchors miss boxes" in capsys.readouterr().out
    check(src, "--anchors", 5.5, "--anchor-stride", 1)
    shown = capsys.readouterr().out
    assert "anchors miss boxes" not in shown
    assert "boxes with an anchor of 5.5 px at IoU 0.5: 100.0%" in shown


def test_a_sound_set_ends_with_status_0(toy_set, capsys):
    assert check(toy_set) == 0
    assert "error" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere"),
        ([".", "--format", "nonsense"], "'nonsense'"),
        ([".", "--fix", "copy", "--format", "yolo"], "picture"),
    ],
)
def test_mistakes_are_told_without_a_traceback(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert check(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("acnet: error: ")
    assert message in error


@pytest.fixture(scope="module")
def toy_set(tmp_path_factory):
    dst = tmp_path_factory.mktemp("toy") / "set"
    words = ["data", "toy", str(dst), "--photos", "10", "--size", "96", "--workers", "1"]
    assert main(words) == 0
    return dst
