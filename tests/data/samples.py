"""Small data sets, and prepared sets of odd photos, for the tests of acnet.data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout, file_state
from acnet.data.readers.formats import open_source
from acnet.data.records import ImageRecord, write_coco
from acnet.data.toy.toy_photo import ToyOptions
from acnet.files import write_json
from acnet.photos.read import read_size

TOY_OPTIONS = ToyOptions(seed=3, sizes_px=(96, 128), lesion_px=(6.0, 24.0))
TOY_COUNT = 10


def annotation_xml(objects: Sequence[tuple[str, Sequence[object]]], size: str = "") -> str:
    """An annotation file of (name, VOC corners) pairs."""
    body = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in objects
    )
    return f"<annotation>{size}{body}</annotation>"


def write_photo(path: Path, image_hw: tuple[int, int]) -> None:
    """A picture whose pixels tell their place: blue rises with x, green with y."""
    height, width = image_hw
    y, x = np.mgrid[:height, :width]
    image = np.stack([x % 256, y % 256, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_archives(src: Path, photos: Mapping[str, tuple[tuple[int, int], str]]) -> Path:
    """ACNE04's two archives with one fold: the first photo is tested, the others trained on.

    Every photo is (image_hw, XML text).
    """
    annotations = src / "Detection" / "VOC2007" / "Annotations"
    annotations.mkdir(parents=True)
    for name, (image_hw, xml) in photos.items():
        write_photo(src / "Classification" / "JPEGImages" / name, image_hw)
        (annotations / f"{Path(name).stem}.xml").write_text(xml)
    first, *others = photos
    for split, names in {"test": [first], "trainval": others}.items():
        lines = [f"{name}  0  1\n" for name in names]
        (src / "Classification" / f"NNEW_{split}_0.txt").write_text("".join(lines))
    return src


SIZE_HW = (100, 150)  # of large photos, for tiles of 64
SMALL_HW = (40, 60)  # of photos that are one tile


def save_odd_photos(folder: Path, image_hw: tuple[int, int], prefix: str) -> list[str]:
    """Saves one photo of each odd kind, and returns their names, sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: image_hw[0], : image_hw[1]]
    rgb = np.stack([x % 256, y * 2 % 256, (x * 3 + y) % 200], axis=-1).astype(np.uint8)
    source = Image.fromarray(rgb)
    deep = Image.fromarray(((x + y) * 97 % 65536).astype(np.uint16))
    photos: dict[str, tuple[Image.Image, dict]] = {
        "grey.jpg": (source.convert("L"), {}),
        "grey.png": (source.convert("L"), {}),
        "rgba.png": (Image.fromarray(np.dstack([rgb, rgb[..., :1]])), {}),
        "palette.png": (source.convert("P"), {}),
        "deep.png": (deep, {}),
        "deep.tif": (deep, {}),
        "cmyk.jpg": (source.convert("CMYK"), {}),
        "progressive.jpg": (source, {"progressive": True}),
        "sharp.jpg": (source, {"subsampling": 0}),
        "wide.jpg": (source, {"subsampling": 1}),
        "lossless.webp": (source, {"lossless": True}),
    }
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[274] = orientation
        photos[f"turned_{orientation}.jpg"] = (source, {"exif": exif})
    photos["turned_cmyk.jpg"] = (source.convert("CMYK"), {"exif": exif})
    photos["turned.png"] = (source, {"exif": exif})
    for name, (image, settings) in photos.items():
        # One stem each, since tiles are named after it.
        image.save(folder / f"{prefix}_{name.replace('.', '_')}{Path(name).suffix}", **settings)
    return sorted(path.name for path in folder.glob(f"{prefix}_*"))


def write_set(folder: Path, image_root: Path, splits: Mapping[str, list[str]]) -> PreparedLayout:
    """A prepared set as the import writes it, with a box in every photo's centre."""
    layout = PreparedLayout.of_folder(folder)
    for split, names in splits.items():
        records = [_record(image_root, name) for name in names]
        write_coco(layout.annotations(split), records, ["acne"])
    names = {name for members in splits.values() for name in members}
    manifest = {
        "complete": True,
        "image_root": str(image_root),
        "class_names": ["acne"],
        "splits": {split: {} for split in splits},
        "inputs": {},
        "pictures": {name: file_state(image_root / name) for name in sorted(names)},
    }
    write_json(layout.manifest, manifest)
    return layout


def _record(image_root: Path, name: str) -> ImageRecord:
    height, width = read_size(image_root / name)
    centre = (width // 2 - 5.0, height // 2 - 7.0, width // 2 + 5.0, height // 2 + 7.0)
    return record(name, centre, image_hw=(height, width))


def record(name: str, *boxes, image_hw: tuple[int, int] = (80, 100), classes=None) -> ImageRecord:
    """A photo's record, of one class unless said otherwise."""
    return ImageRecord(
        file_name=name,
        width=image_hw[1],
        height=image_hw[0],
        boxes_xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        classes=np.zeros(len(boxes), np.int64) if classes is None else classes,
    )


def write_results(
    folder: Path,
    sizes_wh: Mapping[str, tuple[int, int]],
    found: Mapping[str, Sequence[tuple[Sequence[float], float]]],
) -> None:
    """Write tables as `acnet predict` does, of (COCO box, score) pairs; from 0.6 they count."""
    images, rows = [], []
    for number, (name, (width, height)) in enumerate(sizes_wh.items(), start=1):
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for box, score in found[name]:
            rows.append({"image_id": number, "category_id": 1, "bbox": box, "score": score})
    about = {"info": {"merge": "nms", "count": {"threshold": 0.6}}, "images": images}
    write_json(folder / "images.json", {**about, "categories": [{"id": 1, "name": "acne"}]})
    lines = ",\n".join(map(json.dumps, rows))
    (folder / "predictions.json").write_text(f"[\n{lines}\n]\n")


def import_folder(src: Path, dst: Path, **options) -> ImportedSet:
    """Import a set of any format, by the fields of `ImportOptions`."""
    return import_set(open_source(src), PreparedLayout.of_folder(dst), ImportOptions(**options))


def interrupt(*args, **kwargs):
    """In place of a function: what Ctrl+C does while it runs."""
    raise KeyboardInterrupt


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
