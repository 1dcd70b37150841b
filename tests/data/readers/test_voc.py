"""VOC's form: a devkit with lists, exports without, and hostile lists and names."""

import shutil

import numpy as np
import pytest
from detectron2.data.datasets.pascal_voc import CLASS_NAMES, load_voc_instances
from numpy.testing import assert_array_equal

from acnet.data.readers.voc import open_voc, read_lists, read_voc_xml
from acnet.errors import UnreadableFileError, UserError
from tests.data.samples import annotation_xml
from tests.data.small_sets import BOXES, picture, voc, write

ONE = annotation_xml([("scar", (3, 4, 12, 13))])


@pytest.fixture
def devkit(tmp_path):
    voc(tmp_path)
    return tmp_path / "VOCdevkit" / "VOC2012"


def test_lists_are_splits_and_those_of_one_class_are_not(tmp_path, devkit):
    source = open_voc(tmp_path)
    assert source.splits == {"train": ("a.jpg", "b.jpg"), "val": ("c.jpg", "d.jpg")}
    assert source.unlisted == []
    photo = source.read("a.jpg")
    assert photo.boxes_xyxy.tolist() == [list(box) for box in BOXES]
    assert photo.difficult.tolist() == [False, True]
    assert photo.declared_hw == photo.image_hw == (30, 40)


def test_boxes_and_splits_equal_detectron2s(voc100):
    source = open_voc(voc100)
    for split, names in source.splits.items():
        expected = load_voc_instances(str(voc100), split, CLASS_NAMES)
        assert [f"{photo['image_id']}.jpg" for photo in expected] == list(names)
        for photo in expected:
            read = source.read(f"{photo['image_id']}.jpg")
            assert read.boxes_xyxy.tolist() == [a["bbox"] for a in photo["annotations"]]
            classes = [CLASS_NAMES[a["category_id"]] for a in photo["annotations"]]
            assert list(read.names) == classes


def test_one_year_at_a_time(tmp_path, devkit):
    shutil.copytree(devkit, devkit.with_name("VOC2007"))
    with pytest.raises(UserError, match=r"VOC2007.*VOC2012.*Give one of them\.$"):
        open_voc(tmp_path)
    assert len(open_voc(devkit).splits) == 2


@pytest.mark.parametrize(
    ("image", "xml", "split"),
    [
        ("train/a.jpg", "train/a.xml", "train"),
        ("images/a.jpg", "annotations/a.xml", "all"),
        ("test/images/a.b.JPG", "test/annotations/A.B.xml", "test"),
        ("a.jpg", "a.xml", "all"),
    ],
)
def test_without_lists_folders_are_splits(tmp_path, image, xml, split):
    write(tmp_path / image, picture())
    write(tmp_path / xml, ONE)
    source = open_voc(tmp_path)
    assert source.splits == {split: (image,)}
    assert source.read(image).names == ("scar",)
    assert source.inputs == [tmp_path / xml]


def test_equal_names_in_two_folders_keep_apart(tmp_path):
    for split, name in (("train", "acne"), ("test", "scar")):
        write(tmp_path / split / "a.jpg", picture())
        write(tmp_path / split / "a.xml", annotation_xml([(name, (1, 1, 5, 5))]))
    write(tmp_path / "other" / "a.jpg", picture())  # whose a.xml could be either
    source = open_voc(tmp_path)
    assert source.read("train/a.jpg").names == ("acne",)
    assert source.read("test/a.jpg").names == ("scar",)
    assert source.unlisted == [tmp_path / "other" / "a.jpg"]


@pytest.mark.parametrize("folder", ["p2", "p2/x"])
def test_boxes_of_one_patient_never_become_anothers(tmp_path, folder):
    write(tmp_path / "JPEGImages" / "p1" / "1.jpg", picture())
    write(tmp_path / "Annotations" / folder / "1.xml", ONE)
    assert open_voc(tmp_path).annotation_of == {}
    write(tmp_path / "Annotations" / "p1" / "1.xml", ONE)
    assert open_voc(tmp_path).annotation_of == {"p1/1.jpg": "p1/1.xml"}


@pytest.mark.parametrize(
    ("stated", "named"),
    [("a.png", ["a.png"]), ("C:\\x\\A.JPG", ["a.jpg"]), ("b.jpg", []), ("", [])],
)
def test_an_xml_file_of_two_pictures_belongs_to_the_one_that_it_names(tmp_path, stated, named):
    for name in ("a.jpg", "a.png"):
        write(tmp_path / "JPEGImages" / name, picture())
    write(
        tmp_path / "Annotations" / "a.xml",
        f"<annotation><filename>{stated}</filename></annotation>",
    )
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "a\n")
    source = open_voc(tmp_path)
    assert list(source.annotation_of) == named
    assert source.splits == {"train": tuple(named or ["a.png"])}
    for name in {"a.jpg", "a.png"} - set(named):
        with pytest.raises(FileNotFoundError, match="no XML file is called as"):
            source.read(name)


def test_names_in_a_list_may_hold_spaces_and_numbers_may_follow(tmp_path):
    photos = ("1.jpg", "1 2.jpg", "1 3.jpg", "a.jpg")
    lists = {
        "test": "1 2\r\n1 9\n",
        "train": "1 0 \n1 3.jpg 2 7\n",
        "val": "a.jpg x.xml\n1 x\n9 0\n",
    }
    for split, text in lists.items():
        write(tmp_path / f"{split}.txt", text)
    splits, words_of = read_lists({split: tmp_path / f"{split}.txt" for split in lists}, photos)
    assert splits == {
        "test": ("1 2.jpg", "1 9"),
        "train": ("1 3.jpg", "1.jpg"),
        "val": ("1 x", "9", "a.jpg"),
    }
    assert words_of["1 3.jpg"] == ["2", "7"]
    write(tmp_path / "test.txt", "a 2 some words\n")
    assert read_lists({"test": tmp_path / "test.txt"}, ["a.jpg"])[0] == {"test": ("a.jpg",)}


def test_what_is_missing(tmp_path, devkit):
    (devkit / "Annotations" / "a.xml").unlink()
    (devkit / "JPEGImages" / "c.jpg").unlink()
    text = "<annotation><folder>..</folder><filename>../../../secret.jpg</filename></annotation>"
    (devkit / "Annotations" / "b.xml").write_text(text)  # whose own word on the name is ignored
    source = open_voc(tmp_path)
    assert source.splits["val"] == ("c", "d.jpg")  # as listed: no photo tells its suffix
    assert source.unlisted == [devkit / "Annotations" / "c.xml"]
    assert source.read("b.jpg").names == ()
    for name in ("a.jpg", "c"):
        with pytest.raises(FileNotFoundError):
            source.read(name)


@pytest.mark.parametrize("value", ["1", "true", " True "])
def test_difficult_in_every_spelling(tmp_path, value):
    flags = "".join(f"<object><difficult>{v}</difficult></object>" for v in (value, "0", "false"))
    write(tmp_path / "a.xml", f"<annotation>{flags}<object/></annotation>")
    objects, _ = read_voc_xml(tmp_path / "a.xml")
    assert [found.difficult for found in objects] == [True, False, False, False]


def test_a_list_names_no_other_folders(tmp_path, devkit):
    (devkit / "ImageSets" / "Main" / "train.txt").write_text("a\n../../secret\n")
    with pytest.raises(UnreadableFileError, match=r"Correct the name in \S+train\.txt\.$"):
        open_voc(tmp_path)


def test_pictures_or_xml_are_missing(tmp_path):
    write(tmp_path / "a.jpg", picture())
    with pytest.raises(UserError, match=r"--annotation-root\.$"):
        open_voc(tmp_path)
    (tmp_path / "a.jpg").rename(tmp_path / "a.xml")
    with pytest.raises(UserError, match=r"--image-root\.$"):
        open_voc(tmp_path)


CORNERS = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
POINTS = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((50, 60), (90, 60), (90, 90)))
LABELME = f"<polygon>{POINTS}<username>me</username></polygon>"
TURNED = "<robndbox><cx>70</cx><cy>75</cy><w>40</w><h>30</h><angle>0</angle></robndbox>"
POLYGON = "<polygon><x1>50</x1><y1>60</y1><x2>90</x2><y2>60</y2><x3>90</x3><y3>90</y3></polygon>"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        # Pixels 1 to 10 of a row are the edges 0 to 10: ten pixels wide.
        (CORNERS.format(1, 3, 10, 20.5), [0, 2, 10, 20.5]),
        (CORNERS.format("51,0", 61, 90, 90), [50, 60, 90, 90]),
        *((TURNED, [50, 60, 90, 90]), (POLYGON, [50, 60, 90, 90])),
        (LABELME, [50, 60, 90, 90]),
        (CORNERS.format("x", 2, 3, 4), [np.nan, 2, 3, 4]),
        ("", [np.nan] * 4),
    ],
)
def test_every_form_of_a_box(tmp_path, shape, expected):
    text = f"<annotation><object><name> fore </name>{shape}</object></annotation>"
    (tmp_path / "levle0_1.xml").write_text(text)
    (found,), _ = read_voc_xml(tmp_path / "levle0_1.xml")
    assert found.name == "fore"
    assert_array_equal(found.box_xyxy, expected)


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("<annotation>", '<annotation xmlns="http://example.com/voc">'),
        ONE.replace("object>", "Object>").replace("xmin>", "Xmin>"),
        ONE.replace("annotation>", "data>"),
        ONE.replace("<object>", "<objects><object>").replace("</object>", "</object></objects>"),
        ONE.replace("</object>", "</object><object><deleted>1</deleted></object>"),
    ],
)
def test_namespaces_and_capitals_hide_no_object(tmp_path, text):
    write(tmp_path / "a.xml", text)
    (found,), _ = read_voc_xml(tmp_path / "a.xml")
    assert (found.name, found.box_xyxy.tolist()) == ("scar", [2, 3, 12, 13])


@pytest.mark.parametrize("text", ["<doc><outputs/></doc>", "<x xmlns='y'/>", "<annotations/>"])
def test_xml_of_other_tools_is_no_clear_skin(tmp_path, text):
    write(tmp_path / "a.xml", text)
    with pytest.raises(UnreadableFileError, match=r"root is .*, not annotation\. Replace"):
        read_voc_xml(tmp_path / "a.xml")
