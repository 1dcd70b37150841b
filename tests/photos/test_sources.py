"""What photos are called, and which process takes which."""

import os
from pathlib import Path

import pytest

from acnet.errors import UserError
from acnet.photos.sources import Ranks, Source, find_photos, photo_digest, ranks_from


def make_files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def names_of(*arguments) -> list[str]:
    return [source.name for source in find_photos(arguments)]


def stems_of(*arguments) -> list[str]:
    return [source.stem for source in find_photos(arguments)]


def test_folder_gives_its_photos_sorted_and_nothing_else(tmp_path):
    photos = ["a.png", "b.JPG", "c.HEIC", "d.jfif"]
    make_files(tmp_path, *photos, "notes.txt", "._a.png", "deeper/c.jpg", "e.jpg/b.txt", "f.dng")
    assert names_of(tmp_path) == photos


def test_named_file_may_end_in_anything(tmp_path):
    make_files(tmp_path, "photo.dat")
    assert names_of(tmp_path / "photo.dat") == ["photo.dat"]


def test_order_is_that_of_the_arguments(tmp_path):
    make_files(tmp_path, "z.jpg", "folder/b.jpg", "folder/a.jpg")
    assert names_of(tmp_path / "z.jpg", tmp_path / "folder") == ["z.jpg", "a.jpg", "b.jpg"]


def test_photo_given_twice_is_predicted_once(tmp_path, monkeypatch):
    make_files(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert names_of("a.jpg", tmp_path, "./a.jpg") == ["a.jpg"]


def test_link_is_called_by_its_own_name(tmp_path):
    make_files(tmp_path, "store/4f2a", "photos/b.jpg")
    (tmp_path / "photos" / "a.jpg").symlink_to(tmp_path / "store" / "4f2a")
    assert names_of(tmp_path / "photos") == ["a.jpg", "b.jpg"]


def test_same_name_in_two_folders_takes_the_folder_in(tmp_path):
    make_files(tmp_path, "a/x.jpg", "b/x.jpg", "b/y.jpg")
    assert names_of(tmp_path / "a", tmp_path / "b") == ["a/x.jpg", "b/x.jpg", "y.jpg"]
    assert stems_of(tmp_path / "a", tmp_path / "b") == ["a_x", "b_x", "y"]


def test_as_many_folders_as_needed(tmp_path):
    make_files(tmp_path, "one/day/x.jpg", "two/day/x.jpg", "two/night/x.jpg")
    folders = [tmp_path / name for name in ("one/day", "two/day", "two/night")]
    assert names_of(*folders) == ["one/day/x.jpg", "two/day/x.jpg", "night/x.jpg"]


def test_same_stem_keeps_the_ending_in_picture_names(tmp_path):
    make_files(tmp_path, "x.jpg", "x.png", "y.png")
    assert stems_of(tmp_path) == ["x.jpg", "x.png", "y"]


def test_pictures_stay_apart_where_the_file_system_ignores_case(tmp_path):
    make_files(tmp_path, "a/IMG.JPG", "a/img.jpg", "a_img.jpg")
    if len(list((tmp_path / "a").iterdir())) == 1:
        pytest.skip("this file system ignores case itself")
    stems = stems_of(tmp_path / "a", tmp_path)
    assert stems == ["IMG.JPG", "img.jpg-2", "a_img"]


def test_flattened_folder_does_not_meet_a_name_with_the_same_letters(tmp_path):
    make_files(tmp_path, "a/x.jpg", "b/x.jpg", "a_x.jpg")
    stems = stems_of(tmp_path / "a", tmp_path / "b", tmp_path)
    assert stems == ["a_x.jpg", "b_x", "a_x.jpg-2"]


def test_names_hold_no_absolute_path(tmp_path):
    make_files(tmp_path, "a/x.jpg", "b/x.jpg")
    assert not any(str(tmp_path) in name for name in names_of(tmp_path / "a", tmp_path / "b"))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Received .*nothing\.jpg, which does not exist"):
        find_photos([tmp_path / "nothing.jpg"])


def test_folders_without_photos_are_named(tmp_path):
    make_files(tmp_path, "notes.txt")
    with pytest.raises(UserError, match=rf"Received {tmp_path}; give photo files"):
        find_photos([tmp_path])


def test_without_torchrun_there_is_one_process():
    assert ranks_from({}) == Ranks(0, 1, 0)
    assert Ranks().is_first
    assert not Ranks().has_others


def test_torchruns_variables_are_read():
    environment = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert ranks_from(environment) == Ranks(3, 4, 1)
    assert not ranks_from(environment).is_first
    assert ranks_from(environment).has_others


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "")])
def test_impossible_ranks_are_refused(rank, size):
    with pytest.raises(UserError, match=f"RANK={rank}, WORLD_SIZE={size}"):
        ranks_from({"RANK": rank, "WORLD_SIZE": size})


def test_long_names_are_cut_and_stay_distinct(tmp_path):
    # 244 bytes each in UTF-8, two a letter: the picture's name and a temporary one must fit 255.
    make_files(tmp_path, "\N{CYRILLIC SMALL LETTER A}" * 120 + "1.jpg", f"{'a' * 240}.jpg")
    make_files(tmp_path, "\N{CYRILLIC SMALL LETTER A}" * 120 + "2.jpg")
    stems = stems_of(tmp_path)
    assert len(set(stems)) == 3
    assert all(len(stem.encode()) <= 205 for stem in stems)


def test_raw_photos_in_a_folder_are_told(tmp_path, caplog):
    make_files(tmp_path, "a.jpg", "b.DNG", "c.nef")
    assert names_of(tmp_path) == ["a.jpg"]
    assert "2 raw photos, left out" in caplog.text


def test_a_photo_is_known_by_name_time_size_and_ends(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(300_000))
    os.utime(path, (1, 1))
    first = photo_digest(Source(path, "a.jpg", "a"))
    assert photo_digest(Source(path, "a.jpg", "a")) == first
    assert photo_digest(Source(path, "a.jpg", "b")) != first
    os.utime(path, (2, 2))
    assert photo_digest(Source(path, "a.jpg", "a")) != first
    for place in (0, 299_999):
        content = bytearray(300_000)
        content[place] = 1
        path.write_bytes(content)
        os.utime(path, (1, 1))
        assert photo_digest(Source(path, "a.jpg", "a")) != first


def test_a_photo_that_is_not_there_has_a_hash_too(tmp_path):
    missing = Source(tmp_path / "no.jpg", "no.jpg", "no")
    assert photo_digest(missing) == photo_digest(missing)
