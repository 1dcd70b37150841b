"""Reading YOLO exports, as Roboflow, Kaggle, Ultralytics and CVAT write them.

Pictures and labels are apart, either way round (`images/train` and `labels/train`, or
`train/images` and `train/labels`), in one pair of folders, or side by side. A `data.yaml` gives
the names of the classes and says where the splits are; without one the folders decide.
"""

import collections
import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from acnet.data.readers.safe_files import class_name, inside, list_files, member, read_text
from acnet.data.readers.source import Source, pair_names, split_folder, splits_of_folders
from acnet.data.readers.yolo_files import (
    YoloYaml,
    find_in_export,
    find_yaml,
    parse_label,
    read_yaml,
)
from acnet.data.records import Annotated, Note
from acnet.errors import UnreadableFileError, UserError, shown
from acnet.file_names import PHOTO_SUFFIXES, NameIndex

logger = logging.getLogger(__name__)

NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")
NO_LABEL = "photo without a label file: no boxes"
BAD_LINE = "line dropped: no class and box"


@dataclass(frozen=True, kw_only=True)
class YoloSource(Source):
    """A YOLO export."""

    format: str = "yolo"
    label_root: Path
    # Names of the label files, below `label_root`, by picture, where there is one.
    label_of: Mapping[str, str]
    name_of_number: Mapping[int, str] = field(default_factory=dict)  # of each class that has a name
    has_keypoints: bool = False
    # By picture without a label file: a label file with boxes that fits no picture, and may be its.
    may_be_of: Mapping[str, str] = field(default_factory=dict)

    def read(self, file_name: str) -> Annotated:
        """Read one picture's size and its label file, with boxes in pixels.

        A class that has no name is called by its number. A picture without a label file has no
        boxes, as in training by YOLO, unless its label file may be there under another name.
        """
        height, width = self.read_size(file_name)
        text, notes = "", []
        if file_name in self.label_of:
            text = read_text(member(self.label_root, self.label_of[file_name]))
        elif file_name in self.may_be_of:
            raise FileNotFoundError(
                f"no label file fits {file_name}, and {self.may_be_of[file_name]} fits no photo"
            )
        else:
            notes.append(Note(NO_LABEL, file_name))
        numbers = {name: number for number, name in self.name_of_number.items()}
        label = parse_label(text, has_keypoints=self.has_keypoints, number_of_name=numbers)
        if label.bad_lines:
            notes.append(Note(BAD_LINE, file_name, label.examples, label.bad_lines))
        with np.errstate(over="ignore"):  # absurd numbers become infinite, and are dropped as such
            boxes_xyxy = label.boxes_xyxy * [width, height, width, height]
        return Annotated(
            file_name=file_name,
            image_hw=(height, width),
            names=tuple(self.name_of_number.get(i, str(i)) for i in label.classes),
            boxes_xyxy=boxes_xyxy,
            notes=tuple(notes),
            lost=label.bad_lines,
        )


def is_yolo(src: Path) -> bool:
    """Return whether a folder has label files, or a `data.yaml` beside pictures."""
    pictures = list_files(src, PHOTO_SUFFIXES) if src.is_dir() else []
    if not pictures:
        return False
    pairs = _pair(pictures, list_files(src, [".txt"]), apart=False)
    return bool(pairs) or find_yaml(src) is not None


def open_yolo(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> YoloSource:
    """Find pictures, labels, names and splits of an export; `image_root` has folders as splits."""
    yaml_path = find_yaml(src)
    config = read_yaml(yaml_path) if yaml_path else YoloYaml()
    root, label_root = image_root or src, annotation_root or src
    pictures, labels = list_files(root, PHOTO_SUFFIXES), list_files(label_root, [".txt"])
    label_of = _pair(pictures, labels, apart=root != label_root)
    if not label_of:
        raise UserError(
            f"A YOLO export has pictures ({', '.join(PHOTO_SUFFIXES)}) and label files that are "
            f"called alike. Received {root} with {len(pictures)} pictures and {label_root} with "
            f"{len(labels)} text files, of which none are. Give the right folders by --image-root "
            "and --annotation-root."
        )
    lists: list[Path] = []
    splits = {} if image_root else _splits_of_yaml(src, config, pictures, lists)
    splits = splits or splits_of_folders(pictures)
    names, name_files = _class_names(src, label_root, config)
    listed = {name for members in splits.values() for name in members}
    tables = [*([config.path] if config.path else []), *sorted({*lists, *name_files})]
    known = {*tables, *(label_root / name for name in label_of.values())}
    free = [name for name in labels if label_root / name not in known]
    numbers = {name: number for number, name in names.items()}
    return YoloSource(
        image_root=root,
        splits=splits,
        inputs=[*tables, *(label_root / label_of[n] for n in sorted(listed & set(label_of)))],
        unlisted=[
            *(root / name for name in pictures if name not in listed),
            *(label_root / name for name in free if _is_label_place(name)),
        ],
        label_root=label_root,
        label_of=label_of,
        class_names=tuple(names[number] for number in sorted(names)),
        name_of_number=names,
        has_keypoints=config.has_keypoints,
        may_be_of=_may_be_of(set(pictures) - set(label_of), label_root, free, numbers),
    )


def _may_be_of(
    pictures: Iterable[str], root: Path, free: Iterable[str], numbers: Mapping[str, int]
) -> dict[str, str]:
    """Give pictures without a label a file of their split that has boxes and fits no picture."""
    unlabelled, with_boxes = collections.defaultdict(list), collections.defaultdict(list)
    for name in pictures:
        unlabelled[split_folder(name)].append(name)
    for name in free:
        if PurePosixPath(name).parts[0].lower() != "runs":  # of Ultralytics' predictions
            with contextlib.suppress(UnreadableFileError, FileNotFoundError):
                if parse_label(read_text(member(root, name)), number_of_name=numbers).classes:
                    with_boxes[split_folder(name)].append(name)
    found = {}
    for split, names in unlabelled.items():
        others = [None] if split else [one for one in with_boxes if one]
        labels = [label for one in (split, *others) for label in with_boxes.get(one, ())]
        # A stray file says nothing of many pictures, as those of bare skin that have none.
        if 2 * len(labels) >= len(names):
            found |= dict.fromkeys(names, labels[0])
    return found


def _pair(pictures: Sequence[str], labels: Sequence[str], *, apart: bool) -> dict[str, str]:
    """Find each picture's label file; `apart` where the two have roots of their own."""
    index = NameIndex(labels)
    found = {}
    for picture in pictures:
        names = _label_names(PurePosixPath(picture).with_suffix(".txt"), apart)
        label = next((index.find(name) for name in names if name in index), None)
        if label is not None:
            found[picture] = label
    # What is left is paired within each split, as where only one of the two has sub-folders.
    free = splits_of_folders(filter(_is_label_place, set(labels) - set(found.values())))
    for split, names in splits_of_folders(set(pictures) - set(found)).items():
        found.update(pair_names(names, free.get(split, ()), ".txt"))
    return found


def _label_names(picture: PurePosixPath, apart: bool) -> Iterator[str]:
    """Where a picture's label file may be, likeliest first: below `labels`, or beside it."""
    parts = picture.parts
    places = [i for i, part in enumerate(parts[:-1]) if part.lower() == "images"]
    yield from ("/".join((*parts[:i], "labels", *parts[i + 1 :])) for i in places)
    yield str(picture)
    if apart:  # a root may be the folder `images` or `labels` itself
        yield from ("/".join((*parts[:i], *parts[i + 1 :])) for i in places)
        yield f"labels/{picture}"


def _splits_of_yaml(
    src: Path, config: YoloYaml, pictures: Sequence[str], lists: list[Path]
) -> dict[str, tuple[str, ...]]:
    splits = {}
    for split, entries in config.splits.items():
        members: set[str] = set()
        for entry in entries:
            path = find_in_export(src, entry)
            if path is None:
                logger.warning("%s: %s is not in the export: %s", config.path, split, shown(entry))
            elif path.is_dir():
                prefix = path.relative_to(src).as_posix() + "/"
                members.update(n for n in pictures if prefix == "./" or n.startswith(prefix))
            elif path.suffix == ".txt":
                lists.append(inside(src, path))
                members.update(_read_list(src, path, pictures))
        if members:
            splits[split] = tuple(sorted(members))
        else:
            logger.warning("%s: %s has no picture", config.path, split)
    if config.splits and not splits:
        logger.warning("%s names no split that is here; the folders decide", config.path)
    return splits


def _read_list(src: Path, path: Path, pictures: Sequence[str]) -> list[str]:
    """The pictures that a list names, each by the end of its path as in `data.yaml`."""
    index = NameIndex(pictures)
    names = []
    for line in filter(None, map(str.strip, read_text(path).splitlines())):
        parts = [part for part in line.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        found = next((index.find(end) for end in ends if end in index), None)
        if found is None:
            raise UnreadableFileError(
                f"A list names pictures of its export. Received {shown(line)} in {path}. "
                "Remove the line, or add the picture."
            )
        names.append(found)
    return names


def _class_names(
    src: Path, label_root: Path, config: YoloYaml
) -> tuple[Mapping[int, str], list[Path]]:
    found = [
        folder / name
        for name in NAME_LISTS
        for folder in dict.fromkeys([src, label_root, src / "labels"])
        if (folder / name).is_file()
    ]
    if config.class_names or not found:
        return config.class_names, found
    text = read_text(inside(found[0].parent, found[0]))
    lines = enumerate(map(class_name, text.splitlines()))
    return {number: name for number, name in lines if name}, found


def _is_label_place(name: str) -> bool:
    """Whether a text file lies where label files do, rather than being a README."""
    return bool(split_folder(name)) or "labels" in PurePosixPath(name.lower()).parts[:-1]
