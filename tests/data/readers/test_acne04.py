"""Reading ACNE04: both layouts, lists of every form, and what is dropped."""

import shutil

import pytest
from detectron2.data.datasets.pascal_voc import load_voc_instances
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.data.images import UnreadableFileError
from acnet.data.readers.acne04 import open_acne04, read_folds, read_photo
from acnet.errors import UserError
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
    assert read_folds(source) == {("trainval", 0): ["levle0_2.jpg"], ("test", 0): ["levle0_1.jpg"]}


@pytest.mark.parametrize("below", [".", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_a_vocdevkit_gives_the_same_as_the_archives(toy_photos, tmp_path, below):
    as_vocdevkit(toy_photos, tmp_path)
    archive, devkit = open_acne04(toy_photos), open_acne04(tmp_path / below)
    assert devkit.image_root == tmp_path / "VOCdevkit" / "VOC2007" / "JPEGImages"
    assert read_folds(devkit) == read_folds(archive)
    for name in read_folds(archive)["test", 0]:
        ours, theirs = (read_photo(source, name)[0] for source in (archive, devkit))
        assert_array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)


def test_boxes_equal_detectron2s_voc_reader(toy_photos, tmp_path):
    root = as_vocdevkit(toy_photos, tmp_path)
    source = open_acne04(toy_photos)
    compared = 0
    for expected in load_voc_instances(str(root), "NNEW_trainval_0", ["fore"]):
        record, notes = read_photo(source, f"{expected['image_id']}.jpg")
        assert notes == []
        assert (record.height, record.width) == (expected["height"], expected["width"])
        boxes = [annotation["bbox"] for annotation in expected["annotations"]]
        assert record.boxes_xyxy.tolist() == boxes
        compared += len(boxes)
    assert compared > 10


def test_vocs_own_lists_count_as_fold_0(voc100):
    folds = read_folds(open_acne04(voc100))
    assert sorted(folds) == [("test", 0), ("trainval", 0)]
    assert len(folds["trainval", 0]) + len(folds["test", 0]) == 100
    assert all(name.endswith(".jpg") for names in folds.values() for name in names)


def test_acne04s_own_lists_come_before_vocs(toy_photos, tmp_path):
    root = as_vocdevkit(toy_photos, tmp_path)
    for split in ("trainval", "test"):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("levle0_99\n")
    assert read_folds(open_acne04(tmp_path)) == read_folds(open_acne04(toy_photos))


def test_photos_and_annotations_may_be_elsewhere(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "JPEGImages").rename(tmp_path / "photos")
    (src / "Detection" / "VOC2007" / "Annotations").rename(tmp_path / "xml")
    with pytest.raises(UserError, match=r"photos were not found.*--image-root\.$"):
        open_acne04(src)
    with pytest.raises(UserError, match=r"annotations were not found.*--annotation-root\.$"):
        open_acne04(src, image_root=tmp_path / "photos")
    source = open_acne04(src, image_root=tmp_path / "photos", annotation_root=tmp_path / "xml")
    assert read_photo(source, "levle0_1.jpg")[0].boxes_xyxy.tolist() == [[10, 5, 20, 15]]


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
    assert read_folds(open_acne04(src))["trainval", 0] == ["levle0_2.jpg", "levle0_3.jpg"]


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a\\b.jpg", ".."])
def test_a_list_names_no_other_folders(tmp_path, name):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "NNEW_trainval_0.txt").write_text(f"{name} 0 1\n")
    with pytest.raises(UserError, match="NNEW_trainval_0"):
        read_folds(open_acne04(src))


def test_a_list_is_text(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    (src / "Classification" / "NNEW_trainval_0.txt").write_bytes(b"levle0_\xff.jpg 0 1\n")
    with pytest.raises(UserError, match=r"NNEW_trainval_0\.txt.*UTF-8\.$"):
        read_folds(open_acne04(src))


def test_each_fault_of_an_annotation_is_noted(tmp_path):
    xml = annotation_xml(
        [
            ("fore", (11, 6, 20, 15)),
            ("cold_sore", (1, 1, 5, 5)),
            ("fore", (31, 21, 50, 30)),  # 40 wide: clipped to 30..40
            ("fore", (45, 1, 50, 5)),  # beyond the right edge
            ("fore", (9, 9, 8, 12)),  # edges 8 to 8: no width
        ]
    )
    src = archives(tmp_path, levle0_1=xml, levle0_2=ONE_BOX)
    record, notes = read_photo(open_acne04(src), "levle0_1.jpg")
    assert record.boxes_xyxy.tolist() == [[10, 5, 20, 15], [30, 20, 40, 30]]
    assert record.classes.tolist() == [0, 0]
    assert [note.kind for note in notes] == [
        "object dropped: name 'cold_sore'",
        "box clipped to the photo",
        "box dropped: outside the photo",
        "box dropped: no area",
    ]


def test_the_decoded_size_counts_and_not_the_xmls(tmp_path):
    size = "<size><width>7</width><height>9</height></size>"
    xml = annotation_xml([("fore", (1, 1, 30, 40))], size)
    src = archives(tmp_path, levle0_1=xml, levle0_2=ONE_BOX)
    path = src / "Classification" / "JPEGImages" / "levle0_1.jpg"
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=exif)
    record, notes = read_photo(open_acne04(src), "levle0_1.jpg")
    assert (record.width, record.height) == (30, 40)
    assert record.boxes_xyxy.tolist() == [[0, 0, 30, 40]]
    assert notes == []


def test_a_photo_without_lesions_stays(tmp_path):
    src = archives(tmp_path, levle0_1="<annotation/>", levle0_2=ONE_BOX)
    record, notes = read_photo(open_acne04(src), "levle0_1.jpg")
    assert record.boxes_xyxy.shape == (0, 4)
    assert record.classes.shape == (0,)
    assert notes == []


def test_a_missing_half_drops_the_photo(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    source = open_acne04(src)
    (source.annotation_root / "levle0_1.xml").unlink()
    (source.image_root / "levle0_2.jpg").unlink()
    assert [read_photo(source, f"levle0_{i}.jpg")[0] for i in (1, 2)] == [None, None]
    kinds = [read_photo(source, f"levle0_{i}.jpg")[1][0].kind for i in (1, 2)]
    assert kinds == ["photo dropped: no annotation", "photo dropped: listed, not found"]


def test_corrupt_files_are_named(tmp_path):
    src = archives(tmp_path, levle0_1="<annotation>", levle0_2=ONE_BOX)
    source = open_acne04(src)
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.xml"):
        read_photo(source, "levle0_1.jpg")
    (source.image_root / "levle0_2.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(UnreadableFileError, match=r"levle0_2\.jpg"):
        read_photo(source, "levle0_2.jpg")


def test_a_png_is_found_by_its_stem(tmp_path):
    src = archives(tmp_path, levle0_1=ONE_BOX, levle0_2=ONE_BOX)
    image_root = src / "Classification" / "JPEGImages"
    (image_root / "levle0_2.jpg").unlink()
    write_photo(image_root / "levle0_2.png", (30, 40))
    (src / "Classification" / "NNEW_trainval_0.txt").write_text("levle0_2\n")
    assert read_folds(open_acne04(src))["trainval", 0] == ["levle0_2.png"]
