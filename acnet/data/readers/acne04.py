"""Reading ACNE04: its own two archives, or the same files in a plain VOCdevkit.

The archives' layout, with photos and boxes apart (`acnet data toy` writes the same):
  Classification/JPEGImages/levle0_38.jpg   Classification/NNEW_{trainval,test}_{0..4}.txt
  Detection/VOC2007/Annotations/levle0_38.xml
A VOCdevkit has JPEGImages, Annotations and ImageSets/Main in one folder.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acnet.data.prepared_set import FOLD_SPLITS
from acnet.data.readers.coco_set import (
    CocoSource,
    build_source,
    find_files,
    looks_like_coco,
    mentions,
)
from acnet.data.readers.source import ONE_SPLIT
from acnet.data.readers.voc import VocSource, read_lists
from acnet.data.records import Annotated
from acnet.errors import UserError
from acnet.evaluation.box_forms import box_of, number


@dataclass(frozen=True, kw_only=True)
class Acne04Source(VocSource):
    """ACNE04 as it was unpacked, whose lists state a severity from 0 and a number of lesions."""

    format: str = "acne04"
    class_names: tuple[str, ...] = ("fore",)

    def read(self, file_name: str) -> Annotated:
        """Read the size and the boxes of one photo, and what the lists say of it."""
        numbers = [_whole_number(word) for word in self.words_of.get(file_name, ())]
        grade, count, *_ = [*numbers, None, None]
        return dataclasses.replace(super().read(file_name), grade=grade, count=count)


def is_acne04(src: Path) -> bool:
    """Return whether a folder holds lists of ACNE04's folds."""
    return any(next(folder.glob("NNEW_*_[0-4].txt"), None) for folder in _list_folders(src))


def open_acne04(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> Acne04Source:
    """Find photos, annotations and lists; the lists are below `src` or beside the other two."""
    bases = [src, src / "VOC2007", src / "VOCdevkit" / "VOC2007"]
    images = [src / "Classification" / "JPEGImages", *(base / "JPEGImages" for base in bases)]
    boxes = [base / "Annotations" for base in (src / "Detection" / "VOC2007", *bases)]
    image_root = _first_folder("the photos", "--image-root", [image_root] if image_root else images)
    annotation_root = _first_folder(
        "the annotations", "--annotation-root", [annotation_root] if annotation_root else boxes
    )
    lists = [*_list_folders(src), image_root.parent, annotation_root.parent / "ImageSets" / "Main"]
    with_lists = [folder for folder in lists if find_lists(folder)]
    list_root = _first_folder("the NNEW_*.txt lists", "--src", with_lists)
    return Acne04Source.of_files(image_root, annotation_root, find_lists(list_root))


def find_lists(folder: Path) -> dict[str, Path]:
    """Find the lists of folds in a folder, by split, for each fold that has both.

    VOC's own trainval.txt and test.txt count as fold 0 where there is no other.
    """
    found = {}
    for fold in zip(FOLD_SPLITS[::2], FOLD_SPLITS[1::2], strict=True):
        lists = {split: folder / f"NNEW_{split}.txt" for split in fold}
        if all(path.is_file() for path in lists.values()):
            found.update(lists)
    plain = {split: folder / f"{split.removesuffix('_0')}.txt" for split in FOLD_SPLITS[:2]}
    if not found and all(path.is_file() for path in plain.values()):
        return plain
    return found


def _list_folders(src: Path) -> list[Path]:
    bases = (src / "Detection" / "VOC2007", src, src / "VOC2007", src / "VOCdevkit" / "VOC2007")
    return [src / "Classification", *(base / "ImageSets" / "Main" for base in bases), src]


def _first_folder(what: str, option: str, candidates: list[Path]) -> Path:
    for folder in candidates:
        if folder.is_dir():
            return folder
    tried = ", ".join(map(str, candidates)) or "no folder with both lists of a fold"
    raise UserError(
        f"ACNE04 consists of photos, annotations and lists; {what} were not found. "
        f"Received {tried}. Give the unpacked archives by --src, or this folder by {option}."
    )


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


CENTRE_KEYS = ("coordinates", "center", "centre")
RADIUS_KEYS = ("radius", "r")
PHOTO_FOLDERS = ("Classification/JPEGImages", "JPEGImages", "VOCdevkit/VOC2007/JPEGImages")


def is_acne04_v2(src: Path) -> bool:
    """Return whether a path is, or a folder holds, JSON with circles in COCO's form."""
    return any(_is_circles(path) for path in find_files(src))


def open_acne04_v2(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> CocoSource:
    """Find the circles and the photos, which may be ACNE04's own.

    The one split is "all", or ACNE04's folds are where its lists are below the folder.
    """
    files = [path for path in find_files(annotation_root or src) if _is_circles(path)]
    if len(files) != 1:
        raise UserError(
            "ACNE04-v2 is one JSON file with the circles of all photos. Received "
            f"{len(files)} such files in {annotation_root or src}. Give the file itself."
        )
    folder = src if src.is_dir() else src.parent
    folders = [folder / place for place in PHOTO_FOLDERS if (folder / place).is_dir()]
    root = image_root or (folders[0] if folders else folder)
    source = build_source(files, root, box_of_circle, format_name="acne04_v2")
    members = {name for names in source.splits.values() for name in names}
    lists = next(filter(None, map(find_lists, _list_folders(folder))), {})
    folds, _ = read_lists(lists, sorted(members))
    splits = {
        split: tuple(name for name in names if name in members) for split, names in folds.items()
    }
    return dataclasses.replace(
        source,
        splits=splits or {ONE_SPLIT: tuple(sorted(members))},
        inputs=[*source.inputs, *lists.values()],
        class_names=("acne",),
    )


def box_of_circle(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the box around a circle, else that of its `bbox`, else NaN: x0, y0, x1, y1."""
    centre = next((entry[key] for key in CENTRE_KEYS if key in entry), None)
    if not isinstance(centre, (list, tuple)) or len(centre) != 2:
        return box_of(entry)
    x, y = map(number, centre)
    radius = next((number(entry[key]) for key in RADIUS_KEYS if key in entry), math.nan)
    return (x - radius, y - radius, x + radius, y + radius)


def _is_circles(path: Path) -> bool:
    return looks_like_coco(path) and mentions(path, '"radius"')
