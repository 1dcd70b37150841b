"""`acnet data split`: options, and what is written."""

import json
import shlex

import pytest

from acnet.cli.main import main
from tests.data.audit.planter import SMALL, plant


@pytest.fixture(scope="module")
def src(tmp_path_factory):
    dst = tmp_path_factory.mktemp("planted") / "set"
    plant(dst, SMALL)
    return dst


def split(*words) -> int:
    return main(["data", "split", *map(str, words), "--workers", "1"])


def annotations(folder):
    return {path.name: path.read_bytes() for path in (folder / "annotations").iterdir()}


def test_parts_are_written_and_shown(src, tmp_path, capsys):
    assert split(src, tmp_path / "new", "--parts", "train=0.5", "test=0.5") == 0
    shown = capsys.readouterr().out
    assert "train         30" in shown
    assert "parts.csv" in shown
    assert set(annotations(tmp_path / "new")) == {"train.json", "test.json"}


def test_the_command_in_the_manifest_does_the_same_again(src, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [src, "new", "--folds", 3, "--seed", 5, "--stratify", "grade"]
    assert split(*words, "--group-regex", "_([0-9])[0-9]?\\.jpg$") == 0
    first = annotations(tmp_path / "new")
    command = json.loads((tmp_path / "new" / "manifest.json").read_text())["command"]
    program, *again = shlex.split(command)
    assert program == "acnet"
    assert str(tmp_path) not in command
    for path in (tmp_path / "new" / "annotations").iterdir():
        path.unlink()
    assert main(again) == 0
    assert annotations(tmp_path / "new") == first
    assert split(*words[:-4], "--seed", 6) == 0
    assert annotations(tmp_path / "new") != first


def test_groups_of_a_table_stay_together(src, tmp_path):
    photos = sorted(path.name for path in (src / "Classification" / "JPEGImages").iterdir())
    table = tmp_path / "patients.csv"
    table.write_text("photo,patient\n" + "".join(f"{p},{i // 5}\n" for i, p in enumerate(photos)))
    assert split(src, tmp_path / "new", "--group-by", f"{table}:patient") == 0
    rows = (tmp_path / "new" / "parts.csv").read_text().splitlines()[1:]
    part_of = {row.split(",")[0]: row.split(",")[1] for row in rows}
    for i in range(0, 60, 5):
        assert len({part_of[photo] for photo in photos[i : i + 5]}) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--parts", "train"],
        ["--parts", "train=1.5", "test=0.1"],
        ["--parts", "a/b=0.5", "c=0.5"],
        ["--parts", "train=0.5", "test=0.5", "--folds", "5"],
        ["--group-by", "table.csv"],
        ["--group-regex", "no group"],
        ["--group-regex", "("],
        ["--folds", "0"],
    ],
)
def test_arguments_that_argparse_refuses(words, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        split(tmp_path, tmp_path / "new", *words)
    assert stopped.value.code == 2
    assert "acnet data split: error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--parts", "train=0.5", "test=0.4"], "sum up to 0.9"),
        (["--parts", "train=0.5", "train=0.5"], "names of parts differ"),
        (["--folds", "1"], "Ask for 2 or more"),
    ],
)
def test_arguments_that_do_not_fit_together(words, message, src, tmp_path, capsys):
    assert split(src, tmp_path / "new", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
