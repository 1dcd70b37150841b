"""`acnet data tile` as a user runs it."""

import json

import pytest

from acnet.cli.main import build_parser, main
from acnet.data.tiles.tile_plan import TileOptions
from tests.data.samples import write_photo
from tests.data.tiles.samples import write_set


@pytest.fixture
def layout(tmp_path):
    write_photo(tmp_path / "photos" / "a.png", (100, 150))
    splits = {"train": ["a.png"], "test": ["a.png"]}
    return write_set(tmp_path / "set", tmp_path / "photos", splits)


def options(layout) -> dict:
    return json.loads(layout.manifest.read_text())["tiles"]["options"]


def test_the_defaults_are_the_librarys(layout, capsys):
    assert main(["data", "tile", str(layout.folder), "--workers", "1"]) == 0
    assert options(layout) == {**vars(TileOptions()), "train_splits": ["train*"]}
    assert "set_train" in capsys.readouterr().out


def test_every_option_arrives(layout, capsys):
    words = "--splits test --tile 64 --overlap 16 --min-share 1 --empty-share 0.5"
    words += " --train-splits fold_* t* --format png --quality 7 --png-level 3 --virtual"
    assert main(["data", "tile", str(layout.folder), *words.split()]) == 0
    assert options(layout) == {
        "tile_px": 64,
        "overlap_px": 16,
        "min_share": 1.0,
        "empty_share": 0.5,
        "train_splits": ["fold_*", "t*"],
        "image_format": "png",
        "jpeg_quality": 7,
        "png_level": 3,
        "virtual": True,
    }
    out = capsys.readouterr().out
    assert "set_test" in out
    assert "set_train" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tile 64 --overlap 64", "Received --overlap 64 and --tile 64"),
        ("--splits val", "Received 'val'"),
    ],
)
def test_mistakes_are_told(layout, capsys, words, message):
    assert main(["data", "tile", str(layout.folder), *words.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["--quality 0", "--quality 101", "--png-level 10", "--min-share 0", "--format gif"]
)
def test_numbers_have_limits(words, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["data", "tile", "set", *words.split()])
    assert words.split()[0] in capsys.readouterr().err


def test_a_folder_that_is_no_set(tmp_path, capsys):
    assert main(["data", "tile", str(tmp_path)]) == 2
    assert "must be prepared" in capsys.readouterr().err
