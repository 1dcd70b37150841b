"""Reading ACNE04: its own two archives, or the same files in a plain VOCdevkit.

The archives' layout, with photos and boxes apart (`acnet data toy` writes the same):
  Classification/JPEGImages/levle0_38.jpg   Classification/NNEW_{trainval,test}_{0..4}.txt
  Detection/VOC2007/Annotations/levle0_38.xml
A VOCdevkit has JPEGImages, Annotations and ImageSets/Main in one folder.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from acnet.data.boxes import clean_boxes
from acnet.data.images import read_size
from acnet.data.layout import NUM_FOLDS, SPLITS
from acnet.data.readers.voc_xml import read_voc_xml
from acnet.data.records import ImageRecord, Note
from acnet.errors import UserError

ACNE_NAME = "fore"
ACNE_CLASS = 0
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Acne04Source:
    """Where the three parts of the data set are.

    Args:
        image_root: folder of the photos.
        annotation_root: folder of the XML files.
        list_root: folder of the `NNEW_*.txt` lists.
    """

    image_root: Path
    annotation_root: Path
    list_root: Path


def find_source(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> Acne04Source:
    """Finds photos, annotations and lists below a folder.

    Args:
        src: folder of the unpacked archives or of a VOCdevkit.
        image_root: the photos, where they are elsewhere.
        annotation_root: the XML files, where they are elsewhere.

    Returns:
        Three folders that exist; lists are sought below `src`, then beside the other two.

    Raises:
        UserError: one of the three was not found.
    """
    bases = [src, src / "VOC2007", src / "VOCdevkit" / "VOC2007"]
    images = [src / "Classification" / "JPEGImages", *(base / "JPEGImages" for base in bases)]
    boxes = [base / "Annotations" for base in (src / "Detection" / "VOC2007", *bases)]
    image_root = _first_folder("the photos", "--image-root", [image_root] if image_root else images)
    annotation_root = _first_folder(
        "the annotations", "--annotation-root", [annotation_root] if annotation_root else boxes
    )
    lists = [
        src / "Classification",
        image_root.parent,
        *(base / "ImageSets" / "Main" for base in (src / "Detection" / "VOC2007", *bases)),
        annotation_root.parent / "ImageSets" / "Main",
        src,
    ]
    with_lists = [folder for folder in lists if _find_lists(folder)]
    list_root = _first_folder("the NNEW_*.txt lists", "--src", with_lists)
    return Acne04Source(image_root, annotation_root, list_root)


def read_folds(source: Acne04Source) -> dict[tuple[str, int], list[str]]:
    """Reads the lists of all folds.

    Args:
        source: where they are.

    Returns:
        File names by split and fold, sorted, for each fold that has both lists. A name
        that no photo has is returned as listed.

    Raises:
        UserError: a list is not text, or names a file of another folder.
    """
    # Listed with or without suffix; ACNE04 itself does the former, VOC the latter.
    files = sorted(path.name for path in source.image_root.iterdir())
    by_stem = {
        PurePosixPath(name).stem: name
        for name in files
        if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
    }
    known = set(files)
    return {
        fold: sorted({name if name in known else by_stem.get(name, name) for name in names})
        for fold, names in _read_lists(source.list_root).items()
    }


def read_photo(source: Acne04Source, file_name: str) -> tuple[ImageRecord | None, list[Note]]:
    """Reads the size and the boxes of one photo.

    Args:
        source: where the files are.
        file_name: of the photo.

    Returns:
        The record, or None where photo or annotation are missing, and notes on all that was
        dropped or changed.

    Raises:
        UnreadableFileError: the photo or its annotation is corrupt.
    """
    image_path = source.image_root / file_name
    xml_path = source.annotation_root / f"{image_path.stem}.xml"
    if not image_path.is_file():
        return None, [Note("photo dropped: listed, not found", file_name, str(image_path))]
    if not xml_path.is_file():
        return None, [Note("photo dropped: no annotation", file_name, str(xml_path))]
    height, width = read_size(image_path)
    objects = read_voc_xml(xml_path)
    strays = [found.name for found in objects if found.name != ACNE_NAME]
    notes = [Note(f"object dropped: name {name!r}", file_name) for name in strays]
    boxes = [found.box_xyxy for found in objects if found.name == ACNE_NAME]
    boxes_xyxy, _, box_notes = clean_boxes(np.reshape(boxes, (-1, 4)), (height, width), file_name)
    record = ImageRecord(
        file_name=file_name,
        width=width,
        height=height,
        boxes_xyxy=boxes_xyxy,
        classes=np.full(len(boxes_xyxy), ACNE_CLASS),
    )
    return record, notes + box_notes


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


def _find_lists(folder: Path) -> dict[tuple[str, int], Path]:
    """The lists by split and fold; VOC's own trainval.txt and test.txt count as fold 0."""
    folds = {
        fold: {split: folder / f"NNEW_{split}_{fold}.txt" for split in SPLITS}
        for fold in range(NUM_FOLDS)
    }
    whole = {fold: lists for fold, lists in folds.items() if _are_files(lists.values())}
    plain = {split: folder / f"{split}.txt" for split in SPLITS}
    if not whole and _are_files(plain.values()):
        whole = {0: plain}
    return {(split, fold): path for fold, lists in whole.items() for split, path in lists.items()}


def _read_lists(folder: Path) -> dict[tuple[str, int], list[str]]:
    return {fold: _read_list(path) for fold, path in _find_lists(folder).items()}


def _are_files(paths: Iterable[Path]) -> bool:
    return all(path.is_file() for path in paths)


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(
            f"A list of photos is UTF-8 text. Received {path}: {error}. Save it as UTF-8."
        ) from error
    names = [line.split()[0] for line in lines if line.strip()]
    for name in names:
        if "/" in name or "\\" in name or name in (".", ".."):
            raise UserError(
                f"A list names files of the photos' folder only, never of others. "
                f"Received {name!r} in {path}. Remove the folder from the name."
            )
    return names
