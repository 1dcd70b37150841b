"""Reading ACNE04: its own two archives, or the same files in a plain VOCdevkit.

The archives' layout, with photos and boxes apart (`acnet data toy` writes the same):
  Classification/JPEGImages/levle0_38.jpg   Classification/NNEW_{trainval,test}_{0..4}.txt
  Detection/VOC2007/Annotations/levle0_38.xml
A VOCdevkit has JPEGImages, Annotations and ImageSets/Main in one folder.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from acnet.data.prepared_set import FOLD_SPLITS
from acnet.data.readers.box_forms import box_of, number
from acnet.data.readers.coco_set import CocoSource, build_source, find_files, mentions
from acnet.data.readers.safe_files import inside, list_files, read_text, relative_name, shown
from acnet.data.readers.source import ONE_SPLIT
from acnet.data.readers.voc import pair_by_stem, read_pair, stem
from acnet.data.records import Annotated, Note
from acnet.errors import UserError
from acnet.file_names import PHOTO_SUFFIXES, NameIndex

ACNE_NAME = "fore"


@dataclass(frozen=True)
class Label:
    """What a list says about a photo beside its name: severity from 0, and number of lesions."""

    grade: int | None = None
    count: int | None = None


NO_LABEL = Label()


@dataclass(frozen=True)
class Acne04Source:
    """ACNE04 as it was unpacked; see `acnet.data.readers.source.Source` for the common part.

    Args:
        image_root: folder of the photos.
        splits: photos of each fold's lists. A name that no photo has stays as it is listed.
        inputs: the lists and the XML files.
        unlisted: photos that are in no list, and XML files without a photo.
        annotation_root: folder of the XML files.
        annotation_of: names of the XML files by photo, where there is one.
        labels: what the lists say, by photo.
    """

    image_root: Path
    splits: Mapping[str, Sequence[str]]
    inputs: Sequence[Path]
    unlisted: Sequence[Path]
    annotation_root: Path
    annotation_of: Mapping[str, str]
    labels: Mapping[str, Label]
    notes: Sequence[Note] = ()
    class_names: tuple[str, ...] = (ACNE_NAME,)
    format: str = "acne04"

    def read(self, file_name: str) -> Annotated:
        """Read the size and the boxes of one photo."""
        xml_name = self.annotation_of.get(file_name, f"{PurePosixPath(file_name).stem}.xml")
        label = self.labels.get(file_name, NO_LABEL)
        read = read_pair(self.image_root, file_name, self.annotation_root, xml_name)
        return dataclasses.replace(read, grade=label.grade, count=label.count)


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
    lists = [
        *_list_folders(src),
        image_root.parent,
        annotation_root.parent / "ImageSets" / "Main",
    ]
    with_lists = [folder for folder in lists if find_lists(folder)]
    list_root = _first_folder("the NNEW_*.txt lists", "--src", with_lists)
    return _source(image_root, annotation_root, find_lists(list_root))


def find_lists(folder: Path) -> dict[str, Path]:
    """Find the lists of folds in a folder, by split, for each fold that has both.

    VOC's own trainval.txt and test.txt count as fold 0 where there is no other.
    """
    folds = [FOLD_SPLITS[i : i + 2] for i in range(0, len(FOLD_SPLITS), 2)]
    found = {}
    for fold in folds:
        lists = {split: folder / f"NNEW_{split}.txt" for split in fold}
        if all(path.is_file() for path in lists.values()):
            found.update(lists)
    plain = {split: folder / f"{split.removesuffix('_0')}.txt" for split in folds[0]}
    if not found and all(path.is_file() for path in plain.values()):
        return plain
    return found


def _list_folders(src: Path) -> list[Path]:
    bases = (src / "Detection" / "VOC2007", src, src / "VOC2007", src / "VOCdevkit" / "VOC2007")
    return [src / "Classification", *(base / "ImageSets" / "Main" for base in bases), src]


def read_folds(
    lists: Mapping[str, Path], photos: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Label]]:
    """Read lists of folds: sorted names by split, and what the lists say of each.

    A name that no photo has stays as it is listed.
    """
    # Listed with or without suffix: ACNE04 itself does the former, VOC the latter.
    by_name, by_stem = NameIndex(photos), {stem(name): name for name in photos}
    stems = NameIndex(by_stem)
    splits, labels = {}, {}
    for split, path in lists.items():
        names = set()
        for listed, label in _read_list(inside(path.parent, path)).items():
            name = by_name.find(listed) or by_stem.get(stems.find(listed), listed)
            labels.setdefault(name, label)
            names.add(name)
        splits[split] = tuple(sorted(names))
    return splits, labels


def lists_below(src: Path) -> dict[str, Path]:
    """Return the lists of ACNE04's folds by split, from the first folder that has some."""
    return next(filter(None, map(find_lists, _list_folders(src))), {})


def _source(image_root: Path, annotation_root: Path, lists: Mapping[str, Path]) -> Acne04Source:
    photos = list_files(image_root, PHOTO_SUFFIXES)
    xml_files = list_files(annotation_root, [".xml"])
    splits, labels = read_folds(lists, photos)
    pairs = pair_by_stem(sorted({*photos, *labels}), xml_files)
    annotation_of = {name: xml for name, xml in pairs.items() if name in labels}
    used = set(annotation_of.values())
    return Acne04Source(
        image_root=image_root,
        splits=splits,
        inputs=[*lists.values(), *(annotation_root / name for name in sorted(used))],
        unlisted=[
            *(image_root / name for name in photos if name not in labels),
            *(annotation_root / name for name in xml_files if name not in used),
        ],
        annotation_root=annotation_root,
        annotation_of=annotation_of,
        labels=labels,
    )


def _first_folder(what: str, option: str, candidates: Iterable[Path]) -> Path:
    candidates = list(candidates)
    for folder in candidates:
        if folder.is_dir():
            return folder
    tried = ", ".join(map(str, candidates)) or "no folder with both lists of a fold"
    raise UserError(
        f"ACNE04 consists of photos, annotations and lists; {what} were not found. "
        f"Received {tried}. Give the unpacked archives by --src, or this folder by {option}."
    )


def _read_list(path: Path) -> dict[str, Label]:
    """Read lines such as `levle0_38.jpg  0  4`: name, grade and count; the last may be missing."""
    labels = {}
    for line in read_text(path).splitlines():
        words = line.split()
        if not words:
            continue
        if "/" in words[0] or "\\" in words[0] or words[0] in (".", ".."):
            raise UserError(
                f"A list names files of the photos' folder only, never of others. Received "
                f"{shown(words[0])} in {path}. Remove the folder from the name."
            )
        labels[relative_name(words[0])] = Label(*(_whole_number(word) for word in words[1:3]))
    return labels


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


V2_ACNE_NAME = "acne"
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
    lists = lists_below(folder)
    folds, _ = read_folds(lists, sorted(members))
    splits = {
        split: tuple(name for name in names if name in members) for split, names in folds.items()
    }
    return dataclasses.replace(
        source,
        splits=splits or {ONE_SPLIT: tuple(sorted(members))},
        inputs=[*source.inputs, *lists.values()],
        class_names=(V2_ACNE_NAME,),
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
    return all(mentions(path, word) for word in ('"images"', '"annotations"', '"radius"'))
