"""A photo that has lesions which the import cannot take never becomes clear skin."""

import json
import os
import unicodedata

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from acnet.data.clean import MOST_LOST
from acnet.data.readers.formats import open_source
from acnet.errors import UserError
from acnet.evaluation.box_forms import box_of
from tests.data.samples import import_folder, write_photo
from tests.data.small_sets import write, yolo_folders

HW = (100, 200)
BOX = (50.0, 60.0, 90.0, 90.0)


BOX_OF_0, BOX_OF_1 = ({"image_id": i, "bbox": [50, 60, 40, 30]} for i in (0, 1))


def coco(folder, *annotations, names=("a.jpg",), photos=None):
    for name in photos or names:
        write_photo(folder / "images" / name, HW)
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": [{"id": i, "category_id": 0, **a} for i, a in enumerate(annotations, 1)],
        "categories": [{"id": 0, "name": "acne"}],
    }
    write(folder / "ann.json", json.dumps(content))
    return folder


@pytest.mark.parametrize("seed", range(20))
def test_masks_give_the_box_that_pycocotools_gives(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((17, 23), np.uint8, order="F")
    for _ in range(rng.integers(1, 4)):
        y, x = rng.integers(0, 15), rng.integers(0, 21)
        mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = 1
    packed = coco_mask.encode(mask)
    x, y, width, height = coco_mask.toBbox(packed).tolist()
    text = {"size": packed["size"], "counts": packed["counts"].decode()}
    box = (x, y, x + width, y + height)
    assert box_of({"segmentation": text}) == box
    flat = np.concatenate([[0], mask.ravel(order="F"), [0]]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    assert box_of({"segmentation": {"size": [17, 23], "counts": runs}}) == box


@pytest.mark.parametrize("image_id", ["0", 0.0, "a.jpg", "a"])
def test_objects_find_their_picture_by_other_spellings_of_its_id(tmp_path, image_id):
    src = coco(tmp_path / "src", {**BOX_OF_0, "image_id": image_id})
    imported = import_folder(src, tmp_path / "dst")
    assert imported.splits["ann"][0].boxes_xyxy.tolist() == [list(BOX)]


def test_objects_of_no_picture_are_an_error_where_they_are_most(tmp_path):
    with pytest.raises(UserError, match=r"where 2 of 3 objects belong to no picture"):
        open_source(coco(tmp_path / "src", BOX_OF_0, BOX_OF_1, BOX_OF_1))


def test_a_photo_of_lost_lesions_is_dropped_and_an_import_without_boxes_fails(tmp_path):
    flat = {"image_id": 1, "bbox": [5, 5, 0, 0]}
    src = coco(tmp_path / "src", BOX_OF_0, flat, names=("a.jpg", "b.jpg"))
    imported = import_folder(src, tmp_path / "dst")
    assert [record.file_name for record in imported.splits["ann"]] == ["images/a.jpg"]
    assert imported.notes.counts()[MOST_LOST] == 1
    with pytest.raises(UserError, match="A data set has at least one box"):
        import_folder(coco(tmp_path / "none", names=("a.jpg",)), tmp_path / "dst_2")


@pytest.mark.parametrize("bbox", [[0.25, 0.6, 0.2, 0.3], [50, 60, 0.4, 0.3]])
def test_shares_of_a_side_are_no_pixels(tmp_path, bbox):
    with pytest.raises(UserError, match=r"1 of 1 boxes below a pixel"):
        import_folder(coco(tmp_path / "src", {**BOX_OF_0, "bbox": bbox}), tmp_path / "dst")


def test_a_yolo_line_that_cannot_be_read_drops_its_photo(tmp_path):
    for name, text in (("a", "3 0.5 0.5 x 0.2"), ("b", "0 0.5 0.5 0.2 0.2")):
        write_photo(tmp_path / "src" / "images" / f"{name}.jpg", HW)
        write(tmp_path / "src" / "labels" / f"{name}.txt", text)
    imported = import_folder(tmp_path / "src", tmp_path / "dst")
    assert [record.file_name for record in imported.splits["all"]] == ["images/b.jpg"]


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("/data/upload/1/a.jpg", "a.jpg"),
        ("Foto%201.jpg", "Foto 1.jpg"),
        (unicodedata.normalize("NFD", "ü.JPG"), "ü.jpg"),
    ],
)
@pytest.mark.parametrize("root", ["images", "."])
def test_names_of_web_tools_find_their_photo(tmp_path, written, there, root):
    src = coco(tmp_path / "src", BOX_OF_0, names=(written,), photos=(there, "z.jpg"))
    source = open_source(src, image_root=src / root)
    assert source.splits == {"ann": (there if root == "images" else f"images/{there}",)}
    assert source.read(source.splits["ann"][0]).boxes_xyxy.tolist() == [list(BOX)]


def test_a_name_that_fits_two_photos_is_dropped(tmp_path):
    names, photos = ("/x/a.jpg", "c.jpg"), ("1/a.jpg", "2/a.jpg", "c.jpg")
    src = coco(tmp_path / "src", BOX_OF_1, names=names, photos=photos)
    imported = import_folder(src, tmp_path / "dst")
    assert [record.file_name for record in imported.splits["ann"]] == ["images/c.jpg"]
    assert "fits several files" in (tmp_path / "dst" / "dropped.txt").read_text()


def test_a_name_in_another_patients_folder_is_not_found(tmp_path):
    names, photos = ("p2/1.jpg", "p1/2.jpg"), ("p1/1.jpg", "p1/2.jpg")
    src = coco(tmp_path / "src", BOX_OF_0, BOX_OF_1, names=names, photos=photos)
    imported = import_folder(src, tmp_path / "dst")
    assert [record.file_name for record in imported.splits["ann"]] == ["images/p1/2.jpg"]
    assert "listed, not found\timages/p2/1.jpg" in (tmp_path / "dst" / "dropped.txt").read_text()


XML, LONG = '<?xml version="1.0"?>', " " * 70_000
OTHER_FILES = [
    ("labelme", "a.json", '{"shapes": [{"label": "acne"}], "imagePath": "a.jpg"}'),
    ("labelme", "a.json", f'{{"imageData": "{LONG}", "imagePath": "a.jpg", "shapes": []}}'),
    ("labelme", "a.json", f'{{"shapes": [{{"shape_type": "rectangle"}}{LONG}], "imagePath": 1}}'),
    ("CVAT", "annotations.xml", f'{XML}<annotations><image name="a.jpg"/></annotations>'),
    ("CVAT", "a.xml", f"{XML}<annotations><version>1.1</version>{LONG}<track/></annotations>"),
    ("CVAT", "default.json", '{"info": {}, "categories": {"label": {}}, "items": []}'),
    ("Label Studio", "x.json", '[{"data": {}, "annotations": [{"result": []}]}]'),
    ("Label Studio", "x.csv", 'image,label\na.jpg,"[{""rectanglelabels"":[""acne""]}]"\n'),
    ("Label Studio", "x.tsv", 'image\tlabel\na.jpg\t"[{""rectanglelabels"":[""acne""]}]"\n'),
    ("VIA", "via.csv", "filename,region_shape_attributes\n"),
    ("VIA", "via.csv", "# Exported using VGG Image Annotator\n"),
    ("VIA", "via.json", '{"_via_settings": {}, "_via_img_metadata": {}}'),
    ("VIA", "via.json", '{"project": {"creator": "VGG Image Annotator"}, "metadata": {}}'),
    ("Supervisely", "meta.json", '{"classes": [], "projectType": "images"}'),
    ("Supervisely", "meta.json", '{"classes": [{"title": 1, "shape": 1}], "tags": []}'),
    ("Supervisely", "a.jpg.json", '{"tags": [], "size": {"height": 1}, "objects": []}'),
    ("CreateML", "x.json", '[{"image": "a", "annotations": [{"label": 1, "coordinates": {}}]}]'),
    ("CreateML", "x.json", '[{"imagefilename": "a.jpg", "annotation": []}]'),
    ("Roboflow", "_annotations.createml.json", "[]"),
    ("Roboflow", "_annotations.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n"),
    ("Roboflow", "_annotations.csv", "a.jpg,1,2,30,40,acne\n"),
    ("Roboflow", "_annotations.txt", "a.jpg 1,2,30,40,0\n"),
    ("Roboflow", "_classes.csv", "filename, acne\na.jpg, 1\n"),
    ("Roboflow", "a.tfrecord", "\0"),
    ("FiftyOne", "samples.json", '{"samples": [{"found": {"_cls": "Detections"}}]}'),
    ("MMDetection", "train.json", '{"metainfo": {"classes": ["acne"]}, "data_list": []}'),
    ("SuperAnnotate", "x.json", '{"instances": [{"classId": 1, "className": "a", "points": {}}]}'),
    ("Hugging Face", "metadata.jsonl", '{"file_name": "a.jpg", "objects": {"bbox": []}}'),
    ("Roboflow", "x.jsonl", '{"image": "a.jpg", "prefix": "detect", "suffix": "<loc1>"}'),
]


@pytest.mark.parametrize(("tool", "name", "text"), OTHER_FILES)
def test_sets_of_other_tools_are_called_by_the_tool(tmp_path, tool, name, text):
    write_photo(tmp_path / "a.jpg", HW)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=rf"looks like a file of {tool}\. In {tool}, .*(COCO|coco)"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("export.zip", r"Unpack it, and give its folder\."),
        ("data.yaml", r"Give its folder\."),
        ("none", r"Correct the path\."),
    ],
)
def test_what_is_no_folder_is_told_with_what_to_give(tmp_path, name, remedy):
    if name != "none":
        (tmp_path / name).write_text("names: [acne]")
    with pytest.raises(UserError, match=rf"Received .*{name}. {remedy}$"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("text", ['{"images": 2}', '{"images": 1, "annotations": 1}'])
def test_a_file_with_the_word_images_does_not_hide_a_yolo_export(tmp_path, text):
    yolo_folders(tmp_path)
    (tmp_path / "info.json").write_text(text)
    os.mkfifo(tmp_path / "pipe.json")  # reading it would never end
    assert open_source(tmp_path).format == "yolo"
