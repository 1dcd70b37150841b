"""`acnet data check`, `import`, `split` and `tile`: options, outputs, exit status and errors."""

import errno
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from acnet.cli.main import main
from acnet.data.tiles.tile_plan import TileOptions
from tests.data.audit.planter import SMALL, plant
from tests.data.samples import write_photo, write_set
from tests.data.small_sets import acne04, acne04_v2, yolo


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    dst = tmp_path_factory.mktemp("planted") / "set"
    plant(dst, **SMALL)
    return dst


@pytest.fixture
def layout(tmp_path):
    write_photo(tmp_path / "photos" / "a.png", (100, 150))
    splits = {"train": ["a.png"], "test": ["a.png"]}
    return write_set(tmp_path / "set", tmp_path / "photos", splits)


def run(action, *words) -> int:
    return main(["data", action, *map(str, words)])


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def annotations(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "annotations").iterdir()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check nowhere", "nowhere"),
        ("check . --format nonsense", "'nonsense'"),
        ("check . --fix copy --format yolo", "picture"),
        ("import auto none dst", "A data set is read from a folder"),
        ("split . new --parts train=0.5 test=0.4", "sum up to 0.9"),
        ("split . new --parts train=0.5 train=0.5", "names of parts differ"),
        ("split . new --folds 1", "Ask for 2 or more"),
        ("tile .", "must be prepared"),
        ("tile . --tile 64 --overlap 64", "Received --overlap 64 and --tile 64"),
    ],
)
def test_a_users_mistake_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("acnet: error: ")
    assert message in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        *("import kitti a b", "import a", "import a b c", "import yolo a b --class-map acne"),
        *("import yolo a b --class-map =acne", "import yolo a b --class-map a=b --one-class c"),
        *("import yolo a b --workers 0", "split a b --parts train", "split a b --parts a/b=1"),
        *("split a b --parts train=1.5 test=0.1", "split a b --parts a=0.5 b=0.5 --folds 5"),
        *("split a b --group-by table.csv", "split a b --group-regex none", "split a b --folds 0"),
        *("split a b --group-regex (", "tile set --min-share 0", "tile set --format gif"),
        *("toy dst --size 0", "toy dst --photos x", "toy dst --density -1", "toy dst --seed -1"),
        "toy dst --colour-shift nan",
    ],
)
def test_words_that_argparse_refuses(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*words.split())
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("acnet")
    assert " error: " in line


def test_check_shows_and_writes_errors_and_a_cleaned_copy(planted, tmp_path, capsys):
    words = ["--json", tmp_path / "found.json", "--page", tmp_path / "page"]
    words += ["--fix", tmp_path / "copy", "--workers", 1]
    assert run("check", planted, *words) == 1  # there are errors in the original
    shown = capsys.readouterr().out
    assert "Boxes: 426\nNames: fore 425, cold_sore 1\n" in shown
    assert "identical across parts" in shown
    assert "anchors miss boxes" in shown
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["counts"]["prefix against grade"] == SMALL["prefixes"]
    assert len(found["findings"]) == sum(found["counts"].values())
    assert "<h2>identical photos</h2>" in (tmp_path / "page" / "index.html").read_text()

    changed = int(shown.split("a cleaned copy, ")[1].split()[0])
    # Each twin leaves the training lists of the folds that test the other: two folds a pair. With
    # it a stray object, and undecided labels.
    assert changed >= 2 * SMALL["twins"] + 1 + SMALL["conflicts"]
    assert len((tmp_path / "copy" / "changes.txt").read_text().splitlines()) == changed
    assert "--fix" in manifest_of(tmp_path / "copy")["command"]


def test_a_sound_set_ends_with_status_0(tmp_path, capsys):
    assert run("toy", tmp_path, "--photos", 10, "--size", 96, "--workers", 1) == 0
    assert run("check", tmp_path, "--workers", 1) == 0
    assert "error" not in capsys.readouterr().out


def test_check_prints_json_alone_and_replaces_no_file_of_others(planted, tmp_path, capsys):
    assert run("check", planted, "--workers", 1, "--json") == 1
    assert json.loads(capsys.readouterr().out)["counts"]["stray class"] == 1
    lists = planted / "Classification" / "NNEW_test_0.txt"
    (tmp_path / "index.html").write_text("mine")
    segmentation = {"counts": "04L1", "size": [9, 9]}  # of a COCO file
    (tmp_path / "found.json").write_text(json.dumps({"segmentation": segmentation}, indent=2))
    for words in (["--json", tmp_path / "found.json"], ["--json", lists], ["--page", tmp_path]):
        assert run("check", planted, "--workers", 1, *words) == 2
        assert "An output never replaces a file" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "mine"
    for _ in range(2):
        assert run("check", planted, "--workers", 1, "--json", tmp_path / "own.json") == 1


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("toy dst --photos 5 --size 64", "dst/toy.json"),
        ("import toy dst --copy-images", "dst/manifest.json"),
        ("check toy --fix dst", "dst/manifest.json"),
        ("split toy dst --parts a=0.5 b=0.5", "dst/manifest.json"),
    ],
)
def test_a_full_disk_is_one_line_and_the_next_run_completes(
    tmp_path, monkeypatch, capsys, words, place
):
    monkeypatch.chdir(tmp_path)
    assert run("toy", "toy", "--photos", 5, "--size", 64, "--workers", 1) == 0

    def fill(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        assert run(*words.split(), "--workers", 1) == 2
    error = capsys.readouterr().err.partition("acnet: error: ")[2]
    assert re.fullmatch(rf"\[Errno 28\] No space left on device: '.*{place}'\. Choose .*\n", error)
    assert not list(Path("dst").rglob("*.*"))  # no temporary file either
    assert run(*words.split(), "--workers", 1) == 0


def test_relocate_notes_where_the_photos_are(layout, tmp_path, capsys):
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert run("relocate", layout.folder, "--image-root", tmp_path / "moved") == 0
    assert "1 photos in" in capsys.readouterr().out
    assert manifest_of(layout.folder)["image_root"] == "../moved"


def test_import_and_the_command_in_the_manifest_repeats_it(tmp_path, capsys, monkeypatch):
    yolo(tmp_path / "src")
    monkeypatch.chdir(tmp_path)
    words = [tmp_path / "src", "dst", "--format", "yolo", "--workers", 1, "--splits", "train"]
    assert run("import", *words, "--class-map", "acne=lesion", " scar = old scar") == 0
    text = capsys.readouterr().out
    assert ["dst_train", "2", "6", "0"] in [line.split() for line in text.splitlines()]
    manifest = manifest_of(tmp_path / "dst")
    assert manifest["class_names"] == ["lesion", "old scar"]
    assert list(manifest["splits"]) == ["train"]
    assert str(tmp_path) not in json.dumps(manifest)
    before = (tmp_path / "dst" / "manifest.json").read_bytes()
    assert main(shlex.split(manifest["command"])[1:]) == 0
    assert (tmp_path / "dst" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("earlier", [[], ["auto"], ["acne04_v2"]])
def test_the_default_is_to_recognise_the_format(tmp_path, capsys, earlier):
    acne04_v2(tmp_path / "src")
    assert run("import", *earlier, tmp_path / "src", tmp_path / "dst", "--one-class", "x") == 0
    assert "read as acne04_v2" in capsys.readouterr().out


def test_import_cuts_tiles_as_well_by_the_same_options(tmp_path, monkeypatch):
    yolo(tmp_path / "src")
    words = ["src", "dst", "--tiles", "--tile", 32, "--overlap", 8, "--virtual", "--splits", "val*"]
    monkeypatch.chdir(tmp_path)
    assert run("import", *words, "--workers", 1) == 0
    manifest = manifest_of(tmp_path / "dst")
    assert manifest["tiles"]["options"]["tile_px"] == 32
    assert list(manifest["tiles"]["splits"]) == ["val"]
    assert manifest["command"].endswith(" --tiles --tile 32 --overlap 8 --virtual")


def test_the_script_for_acne04_prints_a_table_and_errors(run_python, tmp_path):
    acne04(tmp_path / "datasets" / "ACNE04")
    script = "datasets/prepare_acne04.py"
    said = run_python(script, "--dst", tmp_path / "datasets", "--prefix", "toy", "--workers", 1)
    assert "toy_trainval_0" in said
    assert "nothing was dropped or changed" in said
    for words, message in (
        (["--src", tmp_path / "none"], "A data set is read from a folder"),
        (["--overlap", 640], "--overlap"),
    ):
        said = run_python(script, *words, status=2)
        assert message in said
        assert "Traceback" not in said


def test_split_writes_and_shows_parts_and_keeps_groups_of_a_table(planted, tmp_path, capsys):
    photos = sorted(path.name for path in (planted / "Classification" / "JPEGImages").iterdir())
    table = tmp_path / "patients.csv"
    table.write_text("photo,patient\n" + "".join(f"{p},{i // 5}\n" for i, p in enumerate(photos)))
    words = ["--parts", "train=0.5", "test=0.5", "--group-by", f"{table}:patient", "--workers", 1]
    assert run("split", planted, tmp_path / "new", *words) == 0
    shown = capsys.readouterr().out
    assert "train         3" in shown
    assert "parts.csv" in shown
    assert set(annotations(tmp_path / "new")) == {"train.json", "test.json"}
    rows = (tmp_path / "new" / "parts.csv").read_text().splitlines()[1:]
    part_of = {row.split(",")[0]: row.split(",")[1] for row in rows}
    for i in range(0, 60, 5):
        assert len({part_of[photo] for photo in photos[i : i + 5]}) == 1


def test_the_command_of_a_split_in_the_manifest_does_the_same_again(planted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [planted, "new", "--folds", 3, "--stratify", "grade", "--workers", 1]
    assert run("split", *words, "--seed", 5, "--group-regex", "_([0-9])[0-9]?\\.jpg$") == 0
    first = annotations(tmp_path / "new")
    program, *again = shlex.split(manifest_of(tmp_path / "new")["command"])
    assert program == "acnet"
    assert str(tmp_path) not in " ".join(again)
    for path in (tmp_path / "new" / "annotations").iterdir():
        path.unlink()
    assert main(again) == 0
    assert annotations(tmp_path / "new") == first
    assert run("split", *words, "--seed", 6) == 0
    assert annotations(tmp_path / "new") != first


def test_the_defaults_of_tile_are_the_librarys_and_every_option_arrives(layout, capsys):
    assert run("tile", layout.folder, "--workers", 1) == 0
    options = manifest_of(layout.folder)["tiles"]["options"]
    assert options == {**vars(TileOptions()), "train_splits": ["train*"]}
    assert "set_train" in capsys.readouterr().out
    words = "--splits test --tile 64 --overlap 16 --min-share 1 --empty-share 0.5"
    words += " --train-splits fold_* t* --format png --virtual"
    assert run("tile", layout.folder, *words.split()) == 0
    assert manifest_of(layout.folder)["tiles"]["options"] == {
        **{"tile_px": 64, "overlap_px": 16, "min_share": 1.0, "empty_share": 0.5},
        **{"train_splits": ["fold_*", "t*"], "image_format": "png", "jpeg_quality": 95},
        "virtual": True,
    }
    out = capsys.readouterr().out
    assert "set_test" in out
    assert "set_train" not in out
