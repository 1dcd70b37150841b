"""YOLO exports of every arrangement, label files of every form, and `data.yaml`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from acnet.data.readers.yolo import BAD_LINE, NO_LABEL, open_yolo
from acnet.data.readers.yolo_files import find_in_export, parse_label, read_yaml
from acnet.errors import UnreadableFileError, UserError
from tests.data.small_sets import BOXES, picture, write, yolo, yolo_folders

LINE = "0 0.5 0.5 0.25 0.5\n"
# of a picture of 40x30: centre (20, 15), 10 wide, 15 high
LINE_BOX = [15, 7.5, 25, 22.5]


def put(folder, *names, text=LINE):
    """Writes pictures and label files by the names' suffixes."""
    for name in names:
        is_picture = name.lower().endswith((".jpg", ".png"))
        write(folder / name, picture(name[-4:].lower()) if is_picture else text)


@pytest.mark.parametrize(
    ("image", "label", "split"),
    [
        ("images/train/a.jpg", "labels/train/a.txt", "train"),
        ("train/images/a.jpg", "train/labels/a.txt", "train"),
        ("images/a.jpg", "labels/a.txt", "all"),
        ("train/a.jpg", "train/a.txt", "train"),
        ("a.jpg", "a.txt", "all"),
        ("data/obj_train/a.b.jpg", "data/obj_train/a.b.txt", "all"),
        ("set/images/val/deep/a.png", "set/labels/val/deep/a.txt", "val"),
        ("images/images/valid/a.jpg", "images/labels/valid/a.txt", "valid"),
        ("Images/Test/A.JPG", "labels/Test/a.txt", "test"),
    ],
)
def test_every_arrangement(tmp_path, image, label, split):
    put(tmp_path, image, label)
    source = open_yolo(tmp_path)
    assert source.splits == {split: (image,)}
    assert source.inputs == [tmp_path / label]
    assert source.unlisted == []
    photo = source.read(image)
    assert photo.image_hw == (30, 40)
    assert photo.names == ("0",)
    assert_allclose(photo.boxes_xyxy, [LINE_BOX])


def test_a_picture_without_label_has_no_boxes_and_a_label_without_picture_is_told(tmp_path):
    put(tmp_path, "images/a.jpg", "labels/classes.txt", "README.roboflow.txt", text="No 1 of 2\n")
    put(tmp_path, "images/c.jpg", "labels/b.txt", "labels/c.txt", text="\r\n \n")
    source = open_yolo(tmp_path)
    assert source.unlisted == [tmp_path / "labels" / "b.txt"]
    photo, empty = source.read("images/a.jpg"), source.read("images/c.jpg")
    assert photo.boxes_xyxy.shape == empty.boxes_xyxy.shape == (0, 4)
    assert [note.kind for note in photo.notes] == [NO_LABEL]
    assert empty.notes == ()


def test_pictures_and_labels_elsewhere_keypoints_and_classes_without_a_name(tmp_path):
    put(tmp_path / "p", "train/a.jpg")
    put(tmp_path / "q", "train/a.txt", text=f"{LINE}7 0.5 0.5 0.25 0.5 0.1 0.1 2 0.9 0.9 2\n")
    write(tmp_path / "src" / "data.yaml", "names: [acne]\nkpt_shape: [2, 3]\n")
    source = open_yolo(tmp_path / "src", image_root=tmp_path / "p", annotation_root=tmp_path / "q")
    photo = source.read("train/a.jpg")
    assert photo.names == ("acne", "7")
    assert_allclose(photo.boxes_xyxy, [LINE_BOX] * 2)  # the second has two keypoints as well


@pytest.mark.parametrize(
    ("image", "label", "is_lost"),
    [
        *(("images/IMG 2.jpg", "labels/IMG_2.txt", True), ("p1/2.jpg", "p2/2.txt", True)),
        *(("train/b.jpg", "train/c.txt", True), ("train/b.jpg", "val/c.txt", False)),
        *(("train/b.jpg", "c.txt", True), ("b.jpg", "labels/train/c.txt", True)),
    ],
)
def test_where_a_label_fits_no_picture_one_without_a_label_is_no_clear_skin(
    tmp_path, image, label, is_lost
):
    put(tmp_path, image, label, "a.jpg", "a.txt")
    source = open_yolo(tmp_path)
    assert source.read("a.jpg").names == ("0",)
    if is_lost:
        with pytest.raises(FileNotFoundError, match=rf"fits {image}, and {label} fits no photo"):
            source.read(image)
    else:
        assert source.read(image).names == ()


@pytest.mark.parametrize("stray", ["labels/stray.txt", "runs/detect/labels/a.txt"])
def test_a_stray_label_says_nothing_of_pictures_of_bare_skin(tmp_path, stray):
    bare = [f"images/{number}.jpg" for number in range(1 if stray[0] == "r" else 4)]
    put(tmp_path, "images/a.jpg", "labels/a.txt", stray, *bare)
    source = open_yolo(tmp_path)
    assert [source.read(name).names for name in bare] == [()] * len(bare)


@pytest.mark.parametrize(
    "line",
    [
        *("3 0.5 0.5 0.25 0.5", "  3\t0.5 0.5  0.25 0.5   \r\n\r\n", "3.0 5e-1 5.0E-1 .25 +0.5"),
        "3 0.5 0.5 0.25 0.5 0.93",  # a score
        "3 0.375 0.25 0.625 0.25 0.625 0.75 0.375 0.75",  # a polygon of four corners
        "3 0.375 0.3 0.5 0.25 0.625 0.75",  # and of three
        *("3 0,5 0,5 0,25 0,5", "3,0.5,0.5,0.25,0.5", "3;0.5;0.5;0.25;0.5"),
        *("3, 0.5, 0.5, 0.25, 0.5", "old scar 0.5 0.5 0.25 0.5"),
    ],
)
def test_forms_and_spellings_of_a_line(line):
    label = parse_label(line, number_of_name={"old scar": 3})
    assert (label.classes, label.bad_lines) == ([3], 0)
    assert_allclose(label.boxes_xyxy * [40, 30, 40, 30], [LINE_BOX])


def test_lines_that_are_no_object_are_counted_and_absurd_numbers_read_as_written(tmp_path):
    bad = ["acne 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1", "-1 0 0 1 1", "0.5 0 0 1 1", "nan 0 0 1 1"]
    bad += ["1 2 3 4 5 6 7 8", "0x0 0 0 1 1", "9999999 0 0 1 1", "inf 0 0 1 1", "0"]
    bad += ["3 0.5 0.5 x 0.2", "0.5 0.5 0.1 0.2"]
    absurd = ["0 nan 0 1 1", "0 1e999 0 1 1", "0 0 0 -1 1e308"]
    put(tmp_path, "a.jpg", "a.txt", text="\n".join([*bad, *absurd]))
    photo = open_yolo(tmp_path).read("a.jpg")
    assert photo.names == ("0",) * 3
    assert np.isfinite(photo.boxes_xyxy).all(axis=1).tolist() == [False, False, False]
    assert [(note.kind, note.count) for note in photo.notes] == [(BAD_LINE, len(bad))]
    assert "'acne 0.5 0.5 0.1 0.1'" in photo.notes[0].detail


def test_exports_of_roboflow_and_of_kaggle(tmp_path):
    yolo(tmp_path / "roboflow")
    source = open_yolo(tmp_path / "roboflow")
    assert source.class_names == ("acne", "scar")
    assert source.splits == {
        "train": ("train/images/a.jpg", "train/images/b.jpg"),
        "val": ("valid/images/c.jpg", "valid/images/d.jpg"),
    }
    assert source.inputs[0] == tmp_path / "roboflow" / "data.yaml"
    photo = source.read("train/images/a.jpg")
    assert photo.names == ("acne", "acne", "scar")
    assert_allclose(photo.boxes_xyxy, [*BOXES, [4, 3, 20, 18]])
    yolo_folders(tmp_path / "kaggle")
    source = open_yolo(tmp_path / "kaggle")
    assert source.class_names == ("acne", "scar")  # from classes.txt
    counts = {split: len(names) for split, names in source.splits.items()}
    assert counts == {"train": 2, "val": 1, "test": 1}


@pytest.mark.parametrize("polygon", ["", "1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"])
def test_a_class_called_by_a_number_has_its_index_in_every_file(tmp_path, polygon):
    put(tmp_path, "a.jpg", "a.txt", text=f"1 0.5 0.5 0.2 0.2\n{polygon}")
    write(tmp_path / "data.yaml", "names: ['1', '2', '3']\n")
    assert set(open_yolo(tmp_path).read("a.jpg").names) == {"2"}


def test_a_blank_line_in_a_list_of_names_counts(tmp_path):
    put(tmp_path, "a.jpg", "a.txt", text="2 0.5 0.5 0.2 0.2\n")
    write(tmp_path / "classes.txt", "acne\r\n\r\nscar\r\n\r\n")
    source = open_yolo(tmp_path)
    assert (source.class_names, source.read("a.jpg").names) == (("acne", "scar"), ("scar",))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[acne, 'a b']", {0: "acne", 1: "a b"}),
        ("{0: acne, 3: nodule}", {0: "acne", 3: "nodule"}),
        ("\n  '1': acne\n  0: no", {0: "False", 1: "acne"}),  # YAML's no is a word for false
        ("\n- 7\n- Åkne", {0: "7", 1: "Åkne"}),
    ],
)
def test_names_as_list_or_by_number(tmp_path, names, expected):
    write(tmp_path / "data.yaml", f"names: {names}\n")
    assert read_yaml(tmp_path / "data.yaml").class_names == expected


def test_a_split_is_the_end_of_its_path_inside_its_export(tmp_path):
    (tmp_path / "secret").mkdir()
    images = tmp_path / "set" / "train" / "images"
    images.mkdir(parents=True)
    for written in (
        *("train/images", "../train/images", "./train/images/", "/content/acne/train/images"),
        *("C:\\Users\\me\\acne\\train\\images", "..\\train\\images", "x/../train/images"),
    ):
        assert find_in_export(tmp_path / "set", written) == images
    for written in ("..", "../..", "/", "/etc", "../secret", "", "\0", "x" * 5000):
        assert find_in_export(tmp_path / "set", written) is None
    (tmp_path / "set" / "val").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="inside its export"):
        find_in_export(tmp_path / "set", "val")


def test_splits_of_a_yaml_may_be_lists_of_folders_or_of_pictures(tmp_path):
    put(tmp_path, *(f"{folder}/{name}.jpg" for folder in "xyz" for name in "ab"), "x/a.txt")
    write(tmp_path / "test.txt", "/content/set/z/a.jpg\r\n\r\n.\\z\\b.jpg\n")
    write(tmp_path / "data.yaml", "path: /content/set\ntrain: [x, y]\nval:\ntest: test.txt\n")
    source = open_yolo(tmp_path)
    train, test = ("x/a.jpg", "x/b.jpg", "y/a.jpg", "y/b.jpg"), ("z/a.jpg", "z/b.jpg")
    assert source.splits == {"train": train, "test": test}
    assert tmp_path / "test.txt" in source.inputs


def test_splits_that_are_not_here_leave_it_to_the_folders_and_a_list_is_whole(tmp_path, caplog):
    put(tmp_path, "train/images/a.jpg", "train/labels/a.txt")
    write(tmp_path / "data.yaml", "train: /elsewhere/x\nnames: [acne]\n")
    assert list(open_yolo(tmp_path).splits) == ["train"]
    assert "is not in the export" in caplog.text
    write(tmp_path / "train.txt", "../../secret.jpg\n")
    write(tmp_path / "data.yaml", "train: train.txt\n")
    with pytest.raises(UnreadableFileError, match=r"secret\.jpg.*train\.txt"):
        open_yolo(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("names: 3\n", "names: {a: b}\n", "[1, 2]\n", "names: [", "a: &x [1]\nb: *x\n", "\0"),
        *("!!python/object/apply:os.system ['true']\n", "[" * 100_000, "- " * 30_000, ""),
        *("names: {1e999: a}\n", "x: 2000-99-99\n", "names: " + "9" * 5000, "? [a]: b\n? {b}: c"),
    ],
)
def test_other_yaml_is_refused_by_name(tmp_path, text):
    write(tmp_path / "data.yaml", text)
    with pytest.raises(UnreadableFileError, match=r"data\.yaml"):
        read_yaml(tmp_path / "data.yaml")


@pytest.mark.parametrize("names", [["labels/a.txt"], ["a.jpg"], ["images/a.jpg", "labels/b.txt"]])
def test_pictures_and_labels_that_do_not_match(tmp_path, names):
    put(tmp_path, *names)
    with pytest.raises(UserError, match=r"called alike.*--annotation-root\.$"):
        open_yolo(tmp_path)


def test_labels_of_sub_folders_find_their_picture_within_a_split(tmp_path):
    put(tmp_path, "images/train/x/a.jpg", "images/train/y/b.jpg", "images/train/c.jpg")
    put(tmp_path, "labels/train/a.txt", "labels/train/z/b.txt", "labels/train/c.txt")
    put(tmp_path, "images/train/d.jpg", "labels/val/d.txt")  # of another split
    source = open_yolo(tmp_path)
    assert source.label_of == {
        "images/train/c.jpg": "labels/train/c.txt",
        "images/train/x/a.jpg": "labels/train/a.txt",
    }
    assert set(source.may_be_of.values()) == {"labels/train/z/b.txt"}
