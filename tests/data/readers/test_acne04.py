"""Reading ACNE04 and ACNE04-v2: both layouts, lists of every form, circles, what is dropped."""

import json
import math
import shutil

import numpy as np
import pytest
from detectron2.data.datasets.pascal_voc import load_voc_instances
from PIL import Image

from acnet.data.readers.acne04 import box_of_circle, open_acne04, open_acne04_v2
from acnet.errors import UserError
from tests.data.samples import annotation_xml, write_archives, write_photo
from tests.data.small_sets import acne04, acne04_v2, picture, write

ONE_BOX = annotation_xml([("fore", (11, 6, 20, 15))])


@pytest.fixture
def src(tmp_path):
    """Photos of 40x30: levle0_1.jpg is tested, levle0_2.jpg and levle0_3.jpg are trained on."""
    photos = {f"levle0_{number}.jpg": ((30, 40), ONE_BOX) for number in (1, 2, 3)}
    return write_archives(tmp_path / "ACNE04", photos)


def trainval(src):
    return src / "Classification" / "NNEW_trainval_0.txt"


def test_the_archives_layout_is_found_and_what_no_list_names_is_told(src):
    source = open_acne04(src)
    assert source.image_root == src / "Classification" / "JPEGImages"
    assert source.annotation_root == src / "Detection" / "VOC2007" / "Annotations"
    train = ("levle0_2.jpg", "levle0_3.jpg")
    assert source.splits == {"trainval_0": train, "test_0": ("levle0_1.jpg",)}
    assert source.unlisted == []
    photo, xml = source.image_root / "levle0_9.jpg", source.annotation_root / "levle0_8.xml"
    write_photo(photo, (30, 40))
    xml.write_text(ONE_BOX)
    assert open_acne04(src).unlisted == [photo, xml]


def test_a_vocdevkit_gives_what_the_archives_and_detectron2_give(toy_photos, tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2007"
    shutil.copytree(toy_photos / "Classification" / "JPEGImages", root / "JPEGImages")
    shutil.copytree(toy_photos / "Detection" / "VOC2007", root, dirs_exist_ok=True)
    for split in ("trainval", "test"):  # ACNE04's own lists come before VOC's
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("levle0_99\n")
    archive = open_acne04(toy_photos)
    devkits = [open_acne04(folder) for folder in (tmp_path, root.parent, root)]
    for devkit in devkits:
        assert devkit.image_root == root / "JPEGImages"
        assert devkit.splits == archive.splits
    compared = 0
    for expected in load_voc_instances(str(root), "NNEW_trainval_0", ["fore"]):
        boxes = [annotation["bbox"] for annotation in expected["annotations"]]
        for source in (archive, *devkits):
            record = source.read(f"{expected['image_id']}.jpg")
            assert record.image_hw == (expected["height"], expected["width"])
            assert record.boxes_xyxy.tolist() == boxes
        compared += len(boxes)
    assert compared > 10


def test_vocs_own_lists_count_as_fold_0(voc100):
    folds = open_acne04(voc100).splits
    assert folds.keys() == {"test_0", "trainval_0"}
    assert len(folds["trainval_0"]) + len(folds["test_0"]) == 100
    assert all(name.endswith(".jpg") for names in folds.values() for name in names)


def test_photos_and_annotations_may_be_elsewhere_and_lists_may_not(src, tmp_path):
    (src / "Classification" / "JPEGImages").rename(tmp_path / "photos")
    (src / "Detection" / "VOC2007" / "Annotations").rename(tmp_path / "xml")
    with pytest.raises(UserError, match=r"photos were not found.*--image-root\.$"):
        open_acne04(src)
    with pytest.raises(UserError, match=r"annotations were not found.*--annotation-root\.$"):
        open_acne04(src, image_root=tmp_path / "photos")
    roots = {"image_root": tmp_path / "photos", "annotation_root": tmp_path / "xml"}
    source = open_acne04(src, **roots)
    assert source.read("levle0_1.jpg").boxes_xyxy.tolist() == [[10, 5, 20, 15]]
    trainval(src).unlink()
    with pytest.raises(UserError, match=r"NNEW_\*\.txt lists were not found"):
        open_acne04(src, **roots)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("levle0_2.jpg  0  4\nlevle0_3.jpg  0  1\n", (0, 4)),  # name, grade, count
        ("levle0_3.jpg  0\nlevle0_2.jpg  3\n", (3, None)),  # no count
        ("levle0_2\nlevle0_3\n", (None, None)),  # VOC's form
        ("levle0_2.jpg x -1\nlevle0_3.jpg\n", (None, None)),
        # from Windows, with a mark and no end
        ("\ufefflevle0_2.jpg\t0\r\n\r\nlevle0_3.jpg 0 1", (0, None)),
        ("levle0_2.jpg 0\nlevle0_2.jpg 0\nlevle0_3.jpg 0\n", (0, None)),  # twice
    ],
)
def test_lists_of_every_form_state_grade_and_count(src, text, label):
    trainval(src).write_bytes(text.encode())
    source = open_acne04(src)
    assert source.splits["trainval_0"] == ("levle0_2.jpg", "levle0_3.jpg")
    photo = source.read("levle0_2.jpg")
    assert (photo.grade, photo.count) == label


def test_the_decoded_size_counts_and_the_xmls_is_reported(src):
    source = open_acne04(src)
    size = "<size><width>7</width><height>9</height></size>"
    objects = [("fore", (1, 1, 30, 40)), ("cold_sore", (45, 1, 50, 5))]  # beyond the right edge
    (source.annotation_root / "levle0_1.xml").write_text(annotation_xml(objects, size))
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    Image.new("RGB", (40, 30)).save(source.image_root / "levle0_1.jpg", exif=exif)
    photo = source.read("levle0_1.jpg")
    assert (photo.image_hw, photo.declared_hw) == ((40, 30), (9, 7))
    assert photo.names == ("fore", "cold_sore")
    assert photo.boxes_xyxy.tolist() == [[0, 0, 30, 40], [44, 0, 50, 5]]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        # the form of Acne04-v2_annotations.json: centre (2229, 168), radius 25
        ({"coordinates": [2229, 168], "radius": 25}, (2204, 143, 2254, 193)),
        ({"center": [5.5, 6], "r": 2}, (3.5, 4, 7.5, 8)),
        ({"centre": ["5", "6"], "radius": "2"}, (3, 4, 7, 8)),
        ({"bbox": [1, 2, 3, 4]}, (1, 2, 4, 6)),
        *(({"coordinates": [1, 2]}, None), ({"coordinates": [1], "radius": 2}, None)),
        *(({"coordinates": 3, "radius": 2}, None), ({"coordinates": [None, 2], "r": 1}, None)),
        ({"coordinates": [1, 2], "radius": math.nan}, None),
    ],
)
def test_a_circle_becomes_the_box_around_it_and_what_is_none_nan(entry, expected):
    box = box_of_circle(entry)
    assert np.isnan(box).any() if expected is None else box == expected


def test_circles_are_one_file_of_one_split_and_photos_may_be_elsewhere(tmp_path):
    with pytest.raises(UserError, match="Received 0 such files"):
        open_acne04_v2(tmp_path)
    acne04_v2(tmp_path / "set")
    source = open_acne04_v2(tmp_path / "set")
    assert source.image_root == tmp_path / "set" / "JPEGImages"
    assert source.splits == {"all": ("a.jpg", "b.jpg", "c.jpg", "d.jpg")}
    photo = source.read("a.jpg")
    assert photo.names == ("acne", "acne")
    # boxes of small_sets: centres (7, 8) and (27, 15); radius 5
    assert photo.boxes_xyxy.tolist() == [[2, 3, 12, 13], [22, 10, 32, 20]]
    assert photo.annotation_ids == (0, 1)
    (path,) = source.inputs
    write(tmp_path / "photos" / "a.jpg", picture())
    assert len(open_acne04_v2(path, image_root=tmp_path / "photos").read("a.jpg").names) == 2
    write(tmp_path / "set" / "b.json", path.read_bytes())
    with pytest.raises(UserError, match="Received 2 such files"):
        open_acne04_v2(tmp_path / "set")


def test_circles_in_folds_of_acne04(tmp_path):
    acne04(tmp_path)  # levle0_{a,b,c} for training, levle0_d for the test
    names = [f"levle0_{stem}.jpg" for stem in "bcd"]
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    content = {"images": images, "annotations": [], "info": {"radius": 0}}
    write(tmp_path / "circles.json", json.dumps(content))
    source = open_acne04_v2(tmp_path)
    assert source.image_root == tmp_path / "Classification" / "JPEGImages"
    assert source.splits == {"trainval_0": tuple(names[:2]), "test_0": (names[2],)}
    lists = ["NNEW_trainval_0.txt", "NNEW_test_0.txt"]
    assert [path.name for path in source.inputs] == ["circles.json", *lists]
