"""Small valid data sets, one of each format that can be read, for fuzzing and for tests."""

import functools
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from tests.data.samples import annotation_xml

HEIGHT, WIDTH = 30, 40
NAMES = ("a", "b", "c", "d")
# Corners of the boxes of each picture, inside it.
BOXES = ((2, 3, 12, 13), (20, 5, 35, 25))


@functools.cache
def picture(suffix: str = ".jpg") -> bytes:
    """Return the bytes of a picture of 40x30."""
    content = io.BytesIO()
    Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB").save(
        content, Image.registered_extensions()[suffix]
    )
    return content.getvalue()


def write(path: Path, content: str | bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def yolo(folder: Path) -> None:
    """Write an export as Roboflow does: `data.yaml`, boxes and polygons."""
    write(
        folder / "data.yaml",
        "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['acne', 'scar']\n",
    )
    for name, split in zip(NAMES, ("train", "train", "valid", "valid"), strict=True):
        write(folder / split / "images" / f"{name}.jpg", picture())
        lines = [f"0 {_shares(box)}" for box in BOXES]
        lines.append("1 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6")
        write(folder / split / "labels" / f"{name}.txt", "\n".join(lines) + "\n")


def yolo_folders(folder: Path) -> None:
    """Write an export as Kaggle's are: `images/` and `labels/`, a list of names, no YAML."""
    write(folder / "classes.txt", "acne\nscar\n")
    for name, split in zip(NAMES, ("train", "train", "val", "test"), strict=True):
        write(folder / "images" / split / f"{name}.png", picture(".png"))
        write(folder / "labels" / split / f"{name}.txt", f"0 {_shares(BOXES[0])}\r\n\r\n")


def coco(folder: Path) -> None:
    """Write files as Roboflow does, beside their pictures."""
    for split, names in {"train": NAMES[:2], "valid": NAMES[2:]}.items():
        for name in names:
            write(folder / split / f"{name}.jpg", picture())
        write(folder / split / "_annotations.coco.json", json.dumps(coco_content(names)))


def coco_content(names: tuple[str, ...] = NAMES) -> dict:
    """Return COCO's JSON for pictures with the same boxes."""
    images = [
        {"id": i, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
        for i, name in enumerate(names)
    ]
    annotations = [
        {
            "id": len(BOXES) * image["id"] + i,
            "image_id": image["id"],
            "category_id": 1 + i,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "segmentation": [[x0, y0, x1, y0, x1, y1]],
            "iscrowd": i,
        }
        for image in images
        for i, (x0, y0, x1, y1) in enumerate(BOXES)
    ]
    categories = [{"id": 1, "name": "acne"}, {"id": 2, "name": "scar", "supercategory": "acne"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def acne04_v2(folder: Path) -> None:
    """Write photos of ACNE04 with circles."""
    content = coco_content()
    del content["categories"]
    for entry in content["annotations"]:
        x, y, width, height = entry.pop("bbox")
        for key in ("category_id", "area", "segmentation", "iscrowd"):
            del entry[key]
        entry.update(coordinates=[x + width // 2, y + height // 2], radius=5, class_name="acne")
    for name in NAMES:
        write(folder / "JPEGImages" / f"{name}.jpg", picture())
    write(folder / "Acne04-v2_annotations.json", json.dumps(content))


def voc(folder: Path) -> None:
    """Write a VOCdevkit with lists, in one of which lines have two columns."""
    base = folder / "VOCdevkit" / "VOC2012"
    for name in NAMES:
        write(base / "JPEGImages" / f"{name}.jpg", picture())
        write(base / "Annotations" / f"{name}.xml", voc_xml("acne"))
    for split, names in {"train": NAMES[:2], "val": NAMES[2:]}.items():
        write(base / "ImageSets" / "Main" / f"{split}.txt", "\n".join(names) + "\n")
        lines = [f"{name} -1\n" for name in names]
        write(base / "ImageSets" / "Main" / f"acne_{split}.txt", "".join(lines))


def acne04(folder: Path) -> None:
    """Write ACNE04's two archives with one fold."""
    for name in NAMES:
        write(folder / "Classification" / "JPEGImages" / f"levle0_{name}.jpg", picture())
        path = folder / "Detection" / "VOC2007" / "Annotations" / f"levle0_{name}.xml"
        write(path, voc_xml("fore"))
    for split, names in {"trainval": NAMES[:3], "test": NAMES[3:]}.items():
        lines = [f"levle0_{name}.jpg  0  {len(BOXES)}\n" for name in names]
        write(folder / "Classification" / f"NNEW_{split}_0.txt", "".join(lines))


def voc_xml(class_name: str) -> str:
    """Return VOC's XML with the boxes of a picture, the second of which is difficult."""
    objects = [(class_name, (x0 + 1, y0 + 1, x1, y1)) for x0, y0, x1, y1 in BOXES]
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    flag = "<difficult>1</difficult></object></annotation>"
    return annotation_xml(objects, size).replace("</object></annotation>", flag)


def _shares(box: tuple[int, int, int, int]) -> str:
    x0, y0, x1, y1 = box
    x, width = (x0 + x1) / 2 / WIDTH, (x1 - x0) / WIDTH
    y, height = (y0 + y1) / 2 / HEIGHT, (y1 - y0) / HEIGHT
    return f"{x} {y} {width} {height}"


# The format's name on the command line is the key up to the colon.
SETS: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        "acne04": acne04,
        "acne04_v2": acne04_v2,
        "coco": coco,
        "voc": voc,
        "yolo": yolo,
        "yolo:folders": yolo_folders,
    }
)
