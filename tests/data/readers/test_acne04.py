"""Reading ACNE04: both layouts, lists of every form, and what is dropped."""

import shutil

import pytest
from detectron2.data.datasets.pascal_voc import load_voc_instances
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.data.readers.acne04 import open_acne04
from acnet.errors import UnreadableFileError, UserError
from tests.data.samples import annotation_xml, write_archives, write_photo

ONE_BOX = annotation_xml([("fore", (11, 6, 20, 15))])


def archives(tmp_path, **photos):
    """One photo of 40x30 per keyword, with the given XML."""
    return write_archives(
        tmp_path / "ACNE04", {f"{name}.jpg": ((30, 40), xml) for name, xml in photos.items()}
    )


def as_vocdevkit(toy_photos, folder):
    """The toy set's files where a VOCdevkit has them."""
    root = folder / "VOCdevkit" / "VOC2007"
    shutil.copytree(toy_photos / "Classification" / "JPEGImages", root / "JPEGImages")
    shutil.copytree(toy_photos / "Detection" / "VOC2007", root, dirs_exist_ok=True)
    return root


def test_the_archives_layout_is_found(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    source = open_acne04(src)
    assert source.image_root == src / "Classification" / "JPEGImages"
    assert source.annotation_root == src / "Detection" / "VOC2007" / "Annotations"
    assert source.splits == {"trainval_0": ("levle0_2.jpg",), "test_0": ("levle0_1.jpg",)}
    assert source.unlisted == []


@pytest.mark.parametrize("below", [".", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_a_vocdevkit_gives_the_same_as_the_archives(toy_photos, tmp_path, below):
    as_vocdevkit(toy_photos, tmp_path)
    archive, devkit = open_acne04(toy_photos), open_acne04(tmp_path / below)
    assert devkit.image_root == tmp_path / "VOCdevkit" / "VOC2007" / "JPEGImages"
    assert devkit.splits == archive.splits
    for name in archive.splits["test_0"]:
        ours, theirs = (source.read(name) for source in (archive, devkit))
        assert_array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)


def test_boxes_equal_detectron2s_voc_reader(toy_photos, tmp_path):
    root = as_vocdevkit(toy_photos, tmp_path)
    source = open_acne04(toy_photos)
    compared = 0
    for expected in load_voc_instances(str(root), "NNEW_trainval_0", ["fore"]):
        record = source.read(f"{expected['image_id']}.jpg")
        assert record.image_hw == (expected["height"], expected["width"])
        boxes = [annotation["bbox"] for annotation in expected["annotations"]]
        assert record.boxes_xyxy.tolist() == boxes
        compared += len(boxes)
    assert compared > 10


def test_vocs_own_lists_count_as_fold_0(voc100):
    folds = open_acne04(voc100).splits
    assert sorted(folds) == ["test_0", "trainval_0"]
    assert len(folds["trainval_0"]) + len(folds["test_0"]) == 100
    assert all(name.endswith(".jpg") for names in folds.values() for name in names)


def test_acne04s_own_lists_come_before_vocs(toy_photos, tmp_path):
    root = as_vocdevkit(toy_photos, tmp_path)
    for split in ("trainval", "test"):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("levle0_99\n")
    assert open_acne04(tmp_path).splits == open_acne04(toy_photos).splits


def test_photos_and_annotations_may_be_elsewhere(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "JPEGImages").rename(tmp_path / "photos")
    (src / "Detection" / "VOC2007" / "Annotations").rename(tmp_path / "xml")
    with pytest.raises(UserError, match=r"photos were not found.*--image-root\.$"):
        open_acne04(src)
    with pytest.raises(UserError, match=r"annotations were not found.*--annotation-root\.$"):
        open_acne04(src, image_root=tmp_path / "photos")
    source = open_acne04(src, image_root=tmp_path / "photos", annotation_root=tmp_path / "xml")
    assert source.read("levle0_1.jpg").boxes_xyxy.tolist() == [[10, 5, 20, 15]]


def test_lists_must_be_there(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "NNEW_test_0.txt").unlink()
    with pytest.raises(UserError, match=r"NNEW_\*\.txt lists were not found"):
        open_acne04(src)


@pytest.mark.parametrize(
    "text",
    [
        "levle0_2.jpg  0  4\nlevle0_3.jpg  0  1\n",  # name, grade, count
        "levle0_3.jpg  0\nlevle0_2.jpg  0\n",  # no count
        "levle0_2\nlevle0_3\n",  # VOC's form
        "\ufefflevle0_2.jpg\t0\r\n\r\nlevle0_3.jpg 0 1",  # from Windows, with a mark and no end
        "levle0_2.jpg 0\nlevle0_2.jpg 0\nlevle0_3.jpg 0\n",  # twice
    ],
)
def test_lists_of_every_form(tmp_path, text):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX, levle0_3=ONE_BOX)
    (src / "Classification" / "NNEW_trainval_0.txt").write_bytes(text.encode())
    assert open_acne04(src).splits["trainval_0"] == ("levle0_2.jpg", "levle0_3.jpg")


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a\\b.jpg", ".."])
def test_a_list_names_no_other_folders(tmp_path, name):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "NNEW_trainval_0.txt").write_text(f"{name} 0 1\n")
    with pytest.raises(UserError, match="NNEW_trainval_0"):
        open_acne04(src)


def test_a_list_is_text(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "NNEW_trainval_0.txt").write_bytes(b"levle0_\xff.jpg 0 1\n")
    with pytest.raises(UserError, match=r"NNEW_trainval_0\.txt.*UTF-8\.$"):
        open_acne04(src)


def test_everything_is_read_as_it_is_written(tmp_path):
    xml = annotation_xml(
        [
            ("fore", (11, 6, 20, 15)),
            ("cold_sore", (1, 1, 5, 5)),
            ("fore", (45, 1, 50, 5)),  # beyond the right edge
        ]
    )
    src = archives(tmp_path, levle0_1=xml, levle0_2=ONE_BOX)
    photo = open_acne04(src).read("levle0_1.jpg")
    assert photo.image_hw == (30, 40)
    assert photo.names == ("fore", "cold_sore", "fore")
    assert photo.boxes_xyxy.tolist() == [[10, 5, 20, 15], [0, 0, 5, 5], [44, 0, 50, 5]]


@pytest.mark.parametrize(
    ("line", "grade", "count"),
    [
        ("levle0_2.jpg  0  4", 0, 4),
        ("levle0_2.jpg 3", 3, None),
        ("levle0_2", None, None),
        ("levle0_2.jpg x -1", None, None),
    ],
)
def test_grade_and_count_come_from_the_lists(tmp_path, line, grade, count):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "NNEW_trainval_0.txt").write_text(f"{line}\n")
    photo = open_acne04(src).read("levle0_2.jpg")
    assert (photo.grade, photo.count) == (grade, count)


def test_the_decoded_size_counts_and_the_xmls_is_reported(tmp_path):
    size = "<size><width>7</width><height>9</height></size>"
    xml = annotation_xml([("fore", (1, 1, 30, 40))], size)
    src = archives(tmp_path, levle0_1=xml, levle0_2=ONE_BOX)
    path = src / "Classification" / "JPEGImages" / "levle0_1.jpg"
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=exif)
    photo = open_acne04(src).read("levle0_1.jpg")
    assert photo.image_hw == (40, 30)
    assert photo.declared_hw == (9, 7)
    assert photo.boxes_xyxy.tolist() == [[0, 0, 30, 40]]


def test_a_photo_without_lesions_has_no_boxes(tmp_path):
    src = archives(tmp_path, levle0_1="<annotation/>", levle0_2=ONE_BOX)
    photo = open_acne04(src).read("levle0_1.jpg")
    assert photo.boxes_xyxy.shape == (0, 4)
    assert photo.names == ()


def test_a_missing_half_is_reported(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    source = open_acne04(src)
    (source.annotation_root / "levle0_1.xml").unlink()
    (source.image_root / "levle0_2.jpg").unlink()
    for name, missing in {"levle0_1.jpg": "levle0_1.xml", "levle0_2.jpg": "levle0_2.jpg"}.items():
        with pytest.raises(FileNotFoundError, match=missing):
            source.read(name)


def test_what_no_list_names_is_told(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    source = open_acne04(src)
    photo, xml = source.image_root / "levle0_9.jpg", source.annotation_root / "levle0_8.xml"
    write_photo(photo, (30, 40))
    xml.write_text(ONE_BOX)
    assert open_acne04(src).unlisted == [photo, xml]


def test_corrupt_files_are_named(tmp_path):
    src = archives(tmp_path, levle0_1="<annotation>", levle0_2=ONE_BOX)
    source = open_acne04(src)
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.xml"):
        source.read("levle0_1.jpg")
    (source.image_root / "levle0_2.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UnreadableFileError, match=r"levle0_2\.jpg"):
        source.read("levle0_2.jpg")


def test_a_png_is_found_by_its_stem(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    image_root = src / "Classification" / "JPEGImages"
    (image_root / "levle0_2.jpg").unlink()
    write_photo(image_root / "levle0_2.png", (30, 40))
    (src / "Classification" / "NNEW_trainval_0.txt").write_text("levle0_2\n")
    assert open_acne04(src).splits["trainval_0"] == ("levle0_2.png",)
