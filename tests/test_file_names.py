import time
import unicodedata

import pytest

from acnet.file_names import NameIndex, fold_name, match_names


@pytest.mark.parametrize(
    "written",
    [
        "a 1.jpg",
        "A 1.JPG",
        "a%201.jpg",
        "./a 1.jpg",
        "https://host/a%201.jpg?sig=1#top",
        "/data/local-files/?d=a%201.jpg",
    ],
)
def test_one_file_has_many_spellings(written):
    assert fold_name(written) == "a 1.jpg"
    assert match_names([written], ["a 1.jpg", "b.jpg"]).found == {written: "a 1.jpg"}


def test_unicode_forms_are_one_name_and_an_equal_name_comes_before_an_equal_spelling():
    composed, decomposed = (unicodedata.normalize(form, "Müller.jpg") for form in ("NFC", "NFD"))
    assert decomposed != composed
    assert NameIndex([f"train/{composed}"]).find(f"train\\{decomposed}") == f"train/{composed}"
    index = NameIndex(["a.jpg", "A.jpg"])
    assert index.find("A.jpg") == "A.jpg"
    assert index.find("a.JPG") is None  # both fit


@pytest.mark.parametrize(
    "written",
    [
        "..\\..\\label-studio\\media\\upload\\4\\a.jpg",
        "/data/upload/1/a.jpg",
        "C:\\photos\\a.jpg",
        "images/1/a.jpg",
        "https://host/x/a.jpg?sig=1",
    ],
)
def test_the_end_of_a_path_decides_where_one_file_fits(written):
    matched = match_names([written], ["images/a.jpg", "images/b.jpg"])
    assert matched.found == {written: "images/a.jpg"}
    assert matched.by_end == {written}


def test_the_longest_end_wins_and_equal_ones_are_ambiguous():
    names = ["train/x/a.jpg", "test/a.jpg", "test/y/a.jpg"]
    matched = match_names(["/home/me/x/a.jpg", "/home/me/a.jpg"], names)
    assert matched.found == {"/home/me/x/a.jpg": "train/x/a.jpg"}
    assert set(matched.ambiguous["/home/me/a.jpg"]) == set(names)


@pytest.mark.parametrize(
    ("written", "there", "is_found"),
    [
        *(("p2/1.jpg", "p1/1.jpg", False), ("images/p2/1.jpg", "p1/1.jpg", False)),
        *(("labels/p2/1.txt", "images/p1/1.txt", False), ("train/1.jpg", "val/1.jpg", False)),
        *(("/x/p1/1.jpg", "p1/1.jpg", True), ("photos/1.jpg", "p1/1.jpg", True)),
        *(("valid/images/1.jpg", "labels/val/1.jpg", True), ("train/1.jpg", "p1/1.jpg", True)),
        *(("/data/upload/4/1.jpg", "p1/1.jpg", True), ("xp1/1.jpg", "p1/1.jpg", False)),
        *(("train_images/1.txt", "train_labels/1.txt", True), ("p1_img/1.j", "p2-img/1.j", False)),
        ("classification/jpegimages/1.jpg", "detection/voc2007/annotations/1.jpg", True),
        *(
            ("photo_1/1.jpg", "photo_2/1.jpg", False),
            ("images_train/1.j", "labels-test/1.j", False),
        ),
    ],
)
def test_other_folders_on_both_sides_are_other_photos(written, there, is_found):
    assert match_names([written], [there]).found == ({written: there} if is_found else {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("/home/alice/project/{}.jpg", "acne_photos/{}.jpg"), ("frames/{}.jpg", "gt/{}.jpg")),
        ("/content/acne/train/{}.jpg", "/kaggle/input/acne/train/{}.jpg"),
        ("C:\\Users\\bob\\faces\\{}.jpg", "frames/{}.jpg"),
    ],
)
def test_folders_in_which_a_whole_side_lies_are_no_other_photos(one, other):
    written, names = ([path.format(number) for number in range(4)] for path in (one, other))
    assert match_names(written, names).found == dict(zip(written, names, strict=True))
    # Not where the folder is one of several on the other side.
    assert match_names(["p1/1.jpg", "p1/3.jpg"], ["x/p1/1.jpg", "x/p2/3.jpg"]).found == {
        "p1/1.jpg": "x/p1/1.jpg"
    }


def test_deep_folders_cost_little():
    deep = "x/" * 1990
    names = [f"{number}/{deep}a.jpg" for number in range(200)]
    begin = time.process_time()
    matched = match_names([f"other/{deep}a.jpg"], names)
    assert time.process_time() - begin < 1.5  # 0.1 s; 6 s where each end is compared anew
    assert len(matched.ambiguous) == 1


def test_two_names_never_mean_one_file():
    matched = match_names(["1/a.jpg", "2/a.jpg"], ["a.jpg"])
    assert not matched.found
    assert set(matched.ambiguous) == {"1/a.jpg", "2/a.jpg"}
    matched = match_names(["a.jpg", "A.JPG"], ["a.jpg"])
    assert matched.found == {"a.jpg": "a.jpg"}
    assert matched.ambiguous == {"A.JPG": ("a.jpg",)}
    # A name that is equal keeps its file, and another does not get it by its end.
    assert match_names(["a.jpg", "2/a.jpg"], ["a.jpg"]).found == {"a.jpg": "a.jpg"}
