"""What photos are called, and which process takes which."""

import os
from pathlib import Path

import pytest
from PIL import Image

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


def test_folder_gives_its_photos_sorted_and_nothing_else(tmp_path, caplog):
    assert names_of(*make_files(tmp_path / "named", "photo.dat").iterdir()) == ["photo.dat"]
    photos = ["a.png", "b.JPG", "c.HEIC", "d.jfif"]
    make_files(tmp_path, *photos, "notes.txt", "._a.png", "deeper/c.jpg", "e.jpg/b.txt")
    make_files(tmp_path, "f.DNG", "g.nef")
    assert names_of(tmp_path) == photos
    assert "2 raw photos, left out" in caplog.text
    assert "by their content" not in caplog.text


def test_all_endings_of_pictures_that_are_read_count_and_others_that_are_pictures_are_told(
    tmp_path, caplog
):
    photos = [f"a.{suffix}" for suffix in ["J2K", "apng", "jif", "jpe", "jpx", "mpo", "pnm"]]
    make_files(tmp_path, *photos, "notes", "empty.txt", "b.pbm")
    (tmp_path / "notes").write_text("BM stands for body mass")
    for name, kind in (("IMG_0001", "JPEG"), ("k.jpg~", "PNG"), ("w.download", "WEBP")):
        Image.new("RGB", (4, 4)).save(tmp_path / name, kind)
    assert names_of(tmp_path) == photos
    assert "1 pictures of kinds that are not read" in caplog.text
    assert "3 pictures by their content, not by their ending, left out" in caplog.text


def test_a_photo_given_twice_is_predicted_once_and_a_link_is_called_by_its_own_name(
    tmp_path, monkeypatch
):
    make_files(tmp_path, "a.jpg", "store/4f2a", "photos/b.jpg")
    monkeypatch.chdir(tmp_path)
    assert names_of("a.jpg", tmp_path, "./a.jpg") == ["a.jpg"]
    (tmp_path / "photos" / "a.jpg").symlink_to(tmp_path / "store" / "4f2a")
    assert names_of("photos") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("arguments", "files", "names", "stems"),
    [
        # In the order of the arguments, and called with as many folders as tell them apart.
        ("z.jpg a", "z.jpg a/b.jpg a/a.jpg", "z.jpg a.jpg b.jpg", "z a b"),
        ("a b", "a/x.jpg b/x.jpg b/y.jpg", "a/x.jpg b/x.jpg y.jpg", "a_x b_x y"),
        (
            *("1/day 2/day 2/night", "1/day/x.jpg 2/day/x.jpg 2/night/x.jpg"),
            *("1/day/x.jpg 2/day/x.jpg night/x.jpg", "1_day_x 2_day_x night_x"),
        ),
        # The pictures' names keep the ending where it tells them apart, or get a number.
        ("a", "a/x.jpg a/x.png a/y.png", "x.jpg x.png y.png", "x.jpg x.png y"),
        ("a b .", "a/x.jpg b/x.jpg a_x.jpg", "a/x.jpg b/x.jpg a_x.jpg", "a_x.jpg b_x a_x.jpg-2"),
    ],
)
def test_photos_are_called_by_the_shortest_distinct_name(tmp_path, arguments, files, names, stems):
    make_files(tmp_path, *files.split())
    given = [tmp_path / argument for argument in arguments.split()]
    assert names_of(*given) == names.split()
    assert stems_of(*given) == stems.split()


def test_pictures_stay_apart_where_the_file_system_ignores_case(tmp_path):
    make_files(tmp_path, "a/IMG.JPG", "a/img.jpg", "a_img.jpg")
    if len(list((tmp_path / "a").iterdir())) == 1:
        pytest.skip("this file system ignores case itself")
    stems = stems_of(tmp_path / "a", tmp_path)
    assert stems == ["IMG.JPG", "img.jpg-2", "a_img"]


def test_a_missing_file_and_a_folder_without_photos_are_named(tmp_path):
    with pytest.raises(UserError, match=r"Received .*nothing\.jpg, which does not exist"):
        find_photos([tmp_path / "nothing.jpg"])
    make_files(tmp_path, "notes.txt")
    with pytest.raises(UserError, match=rf"Received {tmp_path}; give photo files"):
        find_photos([tmp_path])


def test_ranks_are_those_of_torchrun_or_of_one_process():
    alone = ranks_from({})
    assert (alone, alone.is_first, alone.has_others) == (Ranks(0, 1, 0), True, False)
    fourth = ranks_from({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    assert (fourth, fourth.is_first, fourth.has_others) == (Ranks(3, 4, 1), False, True)


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "")])
def test_impossible_ranks_are_refused(rank, size):
    with pytest.raises(UserError, match=f"RANK={rank}, WORLD_SIZE={size}"):
        ranks_from({"RANK": rank, "WORLD_SIZE": size})


def test_long_names_are_cut_and_stay_distinct(tmp_path):
    # 244 bytes each in UTF-8, two a letter: the picture's name and a temporary one must fit 255.
    letters = "\N{CYRILLIC SMALL LETTER A}" * 120
    make_files(tmp_path, f"{letters}1.jpg", f"{letters}2.jpg", f"{'a' * 240}.jpg")
    stems = stems_of(tmp_path)
    assert len(set(stems)) == 3
    assert all(len(stem.encode()) <= 205 for stem in stems)


def test_a_photo_is_known_by_name_time_size_and_ends(tmp_path):
    path = tmp_path / "a.jpg"

    def digest_of(content=bytes(300_000), *, seconds=1, stem="a"):
        path.write_bytes(content)
        os.utime(path, (seconds, seconds))
        return photo_digest(Source(path, "a.jpg", stem))

    first = digest_of()
    assert digest_of() == first
    others = [digest_of(stem="b"), digest_of(seconds=2), digest_of(bytes(299_999))]
    others += [digest_of(b"\1" + bytes(299_999)), digest_of(bytes(299_999) + b"\1")]
    assert first not in others
    path.unlink()  # it has a hash nevertheless
    assert photo_digest(Source(path, "a.jpg", "a")) == photo_digest(Source(path, "a.jpg", "a"))
