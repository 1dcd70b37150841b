"""Reading PASCAL VOC's form: a VOCdevkit, or any folder of pictures and XML files.

A VOCdevkit has JPEGImages, Annotations and lists in ImageSets/Main, which are the splits. Exports
of Roboflow and Kaggle have XML files beside the pictures or in a folder of their own; there
folders called train, valid and test are the splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from acnet.data.readers.safe_files import inside, list_files, member, read_text, relative_name
from acnet.data.readers.source import split_names, splits_of_folders
from acnet.data.readers.voc_xml import read_voc_xml
from acnet.data.records import Annotated, Note
from acnet.errors import UserError
from acnet.file_names import PHOTO_SUFFIXES, NameIndex
from acnet.photos.read import read_size


@dataclass(frozen=True)
class VocSource:
    """Pictures with XML files; see `acnet.data.readers.source.Source` for the common part.

    Args:
        image_root: folder of the pictures.
        splits: pictures by split. A name in a list that no picture has stays as it is listed.
        inputs: the lists and the XML files.
        unlisted: pictures without an XML file or in no list, and XML files without a picture.
        annotation_root: folder of the XML files.
        annotation_of: names of the XML files by picture, where there is one.
    """

    image_root: Path
    splits: Mapping[str, Sequence[str]]
    inputs: Sequence[Path]
    unlisted: Sequence[Path]
    annotation_root: Path
    annotation_of: Mapping[str, str]
    class_names: tuple[str, ...] = ()
    notes: Sequence[Note] = ()
    format: str = "voc"

    def read(self, file_name: str) -> Annotated:
        """Read the size and the objects of one picture.

        Raises:
            UnreadableFileError: the picture or its annotation is damaged, or leaves its folder.
            FileNotFoundError: one of them is missing.
        """
        xml_name = self.annotation_of.get(file_name, f"{PurePosixPath(file_name).stem}.xml")
        return read_pair(self.image_root, file_name, self.annotation_root, xml_name)


def read_pair(image_root: Path, file_name: str, annotation_root: Path, xml_name: str) -> Annotated:
    """Read the size of a picture and the XML file that annotates it.

    Args:
        image_root: folder of the picture.
        file_name: of the picture.
        annotation_root: folder of the XML file.
        xml_name: of the XML file.

    Raises:
        UnreadableFileError: one of them is damaged, or leaves its folder.
        FileNotFoundError: one of them is missing.
    """
    image_path = member(image_root, file_name)
    if not image_path.is_file():
        raise FileNotFoundError(f"no such file: {image_path}")
    image_hw = read_size(image_path)
    annotation = read_voc_xml(member(annotation_root, xml_name))
    return Annotated(
        file_name=file_name,
        image_hw=image_hw,
        names=tuple(found.name for found in annotation.objects),
        boxes_xyxy=np.reshape([found.box_xyxy for found in annotation.objects], (-1, 4)),
        declared_hw=annotation.declared_hw,
        difficult=np.array([found.difficult for found in annotation.objects], dtype=bool),
    )


def is_voc(src: Path) -> bool:
    """Return whether a folder has XML files and pictures."""
    return src.is_dir() and bool(list_files(src, PHOTO_SUFFIXES)) and _has_voc_xml(src)


def _has_voc_xml(src: Path) -> bool:
    """Whether some XML file is not another tool's, such as CVAT's, whose root is `annotations`."""
    paths = (src / name for name in list_files(src, [".xml"]))
    return any(path.is_file() and not _is_cvat(path) for path in paths)


def _is_cvat(path: Path) -> bool:
    with path.open("rb") as file:
        return b"<annotations>" in file.read(1024)


def open_voc(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> VocSource:
    """Find pictures, XML files and splits.

    Args:
        src: folder of a VOCdevkit, of one year in it, or of any pictures and XML files.
        image_root: the pictures, where they are elsewhere.
        annotation_root: the XML files, where they are elsewhere.

    Raises:
        UserError: there are no pictures or XML files, or several years of VOC.
    """
    base = _one_year(src)
    image_root = image_root or _first(base / "JPEGImages", base)
    annotation_root = annotation_root or _first(base / "Annotations", base)
    photos = list_files(image_root, PHOTO_SUFFIXES)
    xml_files = list_files(annotation_root, [".xml"])
    for found, what, option in (
        (photos, image_root, "--image-root"),
        (xml_files, annotation_root, "--annotation-root"),
    ):
        if not found:
            raise UserError(
                "VOC's form has pictures and an XML file for each. Received "
                f"{what}, which holds none of them. Give their folder by {option}."
            )
    annotation_of = pair_by_stem(photos, xml_files)
    lists = find_lists(base / "ImageSets" / "Main")
    splits = {split: read_list(path, photos) for split, path in lists.items()}
    splits = splits or splits_of_folders(annotation_of)
    listed = {name for members in splits.values() for name in members}
    used = {annotation_of[name] for name in listed if name in annotation_of}
    return VocSource(
        image_root=image_root,
        splits=splits,
        inputs=[*lists.values(), *(annotation_root / name for name in sorted(used))],
        unlisted=[
            *(image_root / name for name in photos if name not in listed),
            *(annotation_root / name for name in xml_files if name not in used),
        ],
        annotation_root=annotation_root,
        annotation_of=annotation_of,
    )


def find_lists(folder: Path) -> dict[str, Path]:
    """Find the lists that are splits; VOC's `dog_train.txt` and the like repeat `train.txt`."""
    if not folder.is_dir():
        return {}
    lists = {stem(name): folder / name for name in list_files(folder, [".txt"]) if "/" not in name}
    whole = [name for name in lists if not any(name.endswith(f"_{other}") for other in lists)]
    return {
        split: inside(folder, lists[name])
        for split, name in zip(split_names(whole), whole, strict=True)
    }


def read_list(path: Path, photos: Sequence[str]) -> tuple[str, ...]:
    """Read the names of a list, with or without suffix.

    Returns:
        Sorted names as on disk; as listed where there is no such photo.

    Raises:
        UnreadableFileError: it is no text, or a name leads out of the folder.
    """
    by_name, by_stem = NameIndex(photos), {stem(name): name for name in photos}
    stems = NameIndex(by_stem)
    names = set()
    for line in read_text(path).splitlines():
        if line.strip():
            listed = relative_name(line.split()[0])
            names.add(by_name.find(listed) or by_stem.get(stems.find(listed), listed))
    return tuple(sorted(names))


def pair_by_stem(photos: Sequence[str], xml_files: Sequence[str]) -> dict[str, str]:
    """Find each photo's XML file: at the same place below its root, else the only one so called.

    Returns:
        The XML file by photo, where there is one.
    """
    whole = {stem(name): name for name in xml_files}
    last: dict[str, str | None] = {}
    for name in xml_files:
        key = PurePosixPath(name).stem
        last[key] = None if key in last else name
    whole_index, last_index = NameIndex(whole), NameIndex(last)
    found = {}
    for photo in photos:
        place = whole_index.find(stem(photo))
        alone = last_index.find(PurePosixPath(photo).stem)
        xml_name = whole[place] if place is not None else last.get(alone)
        if xml_name is not None:
            found[photo] = xml_name
    return found


def stem(name: str) -> str:
    """Return a name without its suffix, with its folders."""
    path = PurePosixPath(name)
    return str(path.with_name(path.stem))


def _one_year(src: Path) -> Path:
    years = [
        path
        for folder in (src, src / "VOCdevkit")
        for path in sorted(folder.glob("VOC*"))
        if (path / "Annotations").is_dir()
    ]
    if (src / "Annotations").is_dir() or not years:
        return src
    if len(years) > 1:
        raise UserError(
            "One year of VOC is read at a time, since their lists are called the same. Received "
            f"{', '.join(map(str, years))}. Give one of them."
        )
    return years[0]


def _first(folder: Path, otherwise: Path) -> Path:
    return folder if folder.is_dir() else otherwise
