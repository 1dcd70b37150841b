"""Boxes in the formats of other tools: COCO, YOLO, Pascal VOC, Label Studio and CVAT.

Pictures are called by their names below the folder of the pictures. Numbers have so many digits
that a box comes back to a hundredth of a pixel.
"""

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import quote

import yaml

from acnet.data.records import ImageRecord, write_coco
from acnet.errors import UserError
from acnet.files import write_json, write_text

IMAGES = "images"
LOCAL_FILES = "/data/local-files/?d="  # Label Studio's address of files below its own folder
Splits: TypeAlias = Mapping[str, Sequence[ImageRecord]]


def write_coco_files(folder: Path, splits: Splits, class_names: Sequence[str]) -> None:
    """Write one JSON a split."""
    for split, records in splits.items():
        write_coco(folder / f"{split}.json", records, class_names)


def write_yolo(folder: Path, splits: Splits, class_names: Sequence[str]) -> None:
    """Write a text a picture, of lines "class x y width height" in shares, and data.yaml."""
    for name, record in _by_label(splits, ".txt", yolo_name).items():
        lines = []
        for index, (x0, y0, x1, y1) in _boxes(record):
            center = ((x0 + x1) / 2 / record.width, (y0 + y1) / 2 / record.height)
            sides = ((x1 - x0) / record.width, (y1 - y0) / record.height)
            lines.append(f"{index} {' '.join(f'{value:.9f}' for value in (*center, *sides))}\n")
        write_text(folder / "labels" / name, "".join(lines))
    lists = {split: f"{split}.txt" for split in splits}
    for split, name in lists.items():
        paths = (f"./{IMAGES}/{yolo_name(record.file_name)}\n" for record in splits[split])
        write_text(folder / name, "".join(paths))
    first = next(iter(lists.values()), "")  # both names are needed to train
    about = {"path": ".", "train": first, "val": first, **lists}
    about["names"] = dict(enumerate(class_names))
    write_text(folder / "data.yaml", yaml.safe_dump(about, allow_unicode=True, sort_keys=False))


def write_voc(folder: Path, splits: Splits, class_names: Sequence[str]) -> None:
    """Write an XML a picture below Annotations, and lists of the splits."""
    for name, record in _by_label(splits, ".xml").items():
        path = PurePosixPath(record.file_name)
        root = ET.Element("annotation")
        _texts(root, folder=str(path.parent), filename=path.name)
        size = ET.SubElement(root, "size")
        _texts(size, width=record.width, height=record.height, depth=3)
        difficult = record.difficult if len(record.difficult) else [False] * len(record.classes)
        for (index, (x0, y0, x1, y1)), is_difficult in zip(_boxes(record), difficult, strict=True):
            node = ET.SubElement(root, "object")
            _texts(node, name=class_names[index], difficult=int(is_difficult))
            # VOC counts pixels from 1 and includes the last one.
            corners = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
            box = ET.SubElement(node, "bndbox")
            _texts(box, **{name: f"{value:.3f}" for name, value in corners.items()})
        _write_xml(folder / "Annotations" / name, root)
    for split, records in splits.items():
        stems = (f"{PurePosixPath(record.file_name).with_suffix('')}\n" for record in records)
        write_text(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(stems))


def write_label_studio(folder: Path, splits: Splits, class_names: Sequence[str]) -> None:
    """Write one JSON of tasks a split, with boxes to correct, and the labelling interface."""
    for split, records in splits.items():
        tasks = [_task(record, class_names) for record in records]
        write_json(folder / f"{split}.json", tasks)
    view = ET.Element("View")
    ET.SubElement(view, "Image", name="image", value="$image", zoom="true")
    labels = ET.SubElement(view, "RectangleLabels", name="label", toName="image")
    for name in class_names:
        ET.SubElement(labels, "Label", value=name)
    _write_xml(folder / "interface.xml", view)


def _task(record: ImageRecord, class_names: Sequence[str]) -> dict:
    result = []
    for number, (index, (x0, y0, x1, y1)) in enumerate(_boxes(record), start=1):
        shares = {
            "x": 100 * x0 / record.width,
            "y": 100 * y0 / record.height,
            "width": 100 * (x1 - x0) / record.width,
            "height": 100 * (y1 - y0) / record.height,
        }
        result.append(
            {
                "id": f"{number}",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": record.width,
                "original_height": record.height,
                "image_rotation": 0,
                "value": {**shares, "rotation": 0, "rectanglelabels": [class_names[index]]},
            }
        )
    image = LOCAL_FILES + quote(record.file_name)
    return {"data": {"image": image}, "predictions": [{"model_version": "acnet", "result": result}]}


def write_cvat(folder: Path, splits: Splits, class_names: Sequence[str]) -> None:
    """Write one XML a split, "CVAT for images 1.1"."""
    for split, records in splits.items():
        root = ET.Element("annotations")
        _texts(root, version="1.1")
        labels = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")
        for name in class_names:
            _texts(ET.SubElement(labels, "label"), name=name)
        for number, record in enumerate(records):
            size = {"width": f"{record.width}", "height": f"{record.height}"}
            image = ET.SubElement(root, "image", id=f"{number}", name=record.file_name, **size)
            for index, corners in _boxes(record):
                named = zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
                values = {name: f"{value:.3f}" for name, value in named}
                label = {"label": class_names[index], "source": "auto"}
                ET.SubElement(image, "box", **label, occluded="0", **values, z_order="0")
        _write_xml(folder / f"{split}.xml", root)


WRITERS: Mapping[str, Callable[[Path, Splits, Sequence[str]], None]] = MappingProxyType(
    {
        "coco": write_coco_files,
        "yolo": write_yolo,
        "voc": write_voc,
        "labelstudio": write_label_studio,
        "cvat": write_cvat,
    }
)


def yolo_name(file_name: str) -> str:
    """Return a picture's name without folders called images, the last of which YOLO replaces."""
    return "/".join(part for part in file_name.split("/") if part != IMAGES)


def copy_place(form: str, file_name: str) -> str:
    """Return where a picture's copy lies in the folder of a format."""
    folder = "JPEGImages" if form == "voc" else IMAGES
    return f"{folder}/{yolo_name(file_name) if form == 'yolo' else file_name}"


def without_crowds(records: Mapping[str, ImageRecord]) -> dict[str, ImageRecord]:
    """Leave out boxes around many objects, and photos that have mostly such.

    Only COCO marks them: as an object's box one would be learned, and without it skin.
    """
    kept = {}
    for name, record in records.items():
        alone = ~record.crowd if len(record.crowd) else slice(None)
        boxes_xyxy = record.boxes_xyxy[alone]
        if 2 * len(boxes_xyxy) >= len(record.boxes_xyxy):
            kept[name] = dataclasses.replace(
                record,
                boxes_xyxy=boxes_xyxy,
                classes=record.classes[alone],
                crowd=record.crowd[:0],
                difficult=record.difficult[alone] if len(record.difficult) else record.difficult,
            )
    return kept


def _by_label(
    splits: Splits, suffix: str, rename: Callable[[str], str] = str
) -> dict[PurePosixPath, ImageRecord]:
    """Return the pictures of all splits, each once, by the names of their label files."""
    found: dict[PurePosixPath, ImageRecord] = {}
    for record in (one for records in splits.values() for one in records):
        name = PurePosixPath(rename(record.file_name)).with_suffix(suffix)
        other = found.setdefault(name, record).file_name
        if other != record.file_name:
            raise UserError(
                "In this format labels are called as their photo, without its ending and folders "
                f"called images. Received {other} and {record.file_name}, both of which would have "
                f"{name}. Rename one, or write --as coco."
            )
    return found


def _boxes(record: ImageRecord) -> list[tuple[int, list[float]]]:
    return list(zip(record.classes.tolist(), record.boxes_xyxy.tolist(), strict=True))


def _texts(node: ET.Element, **values: object) -> None:
    for name, value in values.items():
        ET.SubElement(node, name).text = f"{value}"


def _write_xml(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    write_text(path, ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n")
