"""What every reader offers, so that import, audit and split work on any format.

Beside it stand sources made of others, whose files stay where they are, and the names of splits.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from acnet.data.records import Annotated, Note

SPLIT_FOLDERS = ("train", "valid", "val", "validation", "test")
ONE_SPLIT = "all"
MAX_SPLIT_NAME = 60
RESERVED_END = "_tiles"  # what the names of tiles' files end in


def splits_of_folders(pictures: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Share pictures out by the first of their folders that is called as a split, else to "all"."""
    splits: dict[str, list[str]] = {}
    for name in sorted(pictures):
        folders = [part.lower() for part in PurePosixPath(name).parts[:-1]]
        split = next((part for part in folders if part in SPLIT_FOLDERS), ONE_SPLIT)
        splits.setdefault(split, []).append(name)
    return {split: tuple(names) for split, names in sorted(splits.items())}


def is_split_folder(name: str) -> bool:
    """Return whether a file is in a folder that is called as a split."""
    return any(part.lower() in SPLIT_FOLDERS for part in PurePosixPath(name).parts[:-1])


def split_names(texts: Iterable[str]) -> list[str]:
    """Return names for splits that serve as names of files and in `SET:SPLIT`, all different."""
    names: list[str] = []
    for text in texts:
        plain = re.sub(r"[^\w.-]+", "_", text)[:MAX_SPLIT_NAME].strip("._") or ONE_SPLIT
        name = f"{plain}_split" if plain.endswith(RESERVED_END) else plain
        number = 2
        while name.casefold() in (other.casefold() for other in names):
            name = f"{plain}_{number}"
            number += 1
        names.append(name)
    return names


class Source(Protocol):
    """A data set as its makers left it. Making one lists files and reads no picture.

    Sources travel to worker processes, so they hold paths and tables and no open files.

    Args:
        format: its name on the command line, such as "yolo".
        image_root: folder of the pictures.
        class_names: the names that the set declares, in their order; empty where there are none.
        splits: sorted file names, below `image_root`, by split; folds may share pictures,
            and one that no split lists is not in the set.
        inputs: the files beside the pictures that decide the result: annotations, lists, tables.
        unlisted: pictures and annotations that are there and belong to no split or no partner.
        notes: on what the reader could not take of the set as a whole, such as a box that belongs
            to no picture.
    """

    format: str
    image_root: Path
    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[str]]
    inputs: Sequence[Path]
    unlisted: Sequence[Path]
    notes: Sequence[Note]

    def read(self, file_name: str) -> Annotated:
        """Read one picture's size and annotation.

        Returns:
            What is written, uncleaned.

        Raises:
            UnreadableFileError: the picture or its annotation is damaged, or leaves the folder.
            FileNotFoundError: the picture, or an annotation that the format requires, is missing.
        """
        ...


@dataclass(frozen=True)
class RearrangedSource:
    """Another source's photos in other splits; see `acnet.data.readers.source.Source`.

    Args:
        base: the source that reads them.
        splits: file names of `base` by split, each sorted.
        notes: on what was left out, beside those of `base`.
    """

    base: Source
    splits: Mapping[str, Sequence[str]]
    notes: Sequence[Note] = ()

    @property
    def format(self) -> str:
        return self.base.format

    @property
    def image_root(self) -> Path:
        return self.base.image_root

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.base.class_names

    @property
    def inputs(self) -> Sequence[Path]:
        return self.base.inputs

    @property
    def unlisted(self) -> Sequence[Path]:
        return self.base.unlisted

    def read(self, file_name: str) -> Annotated:
        return self.base.read(file_name)


@dataclass(frozen=True)
class JoinedSource:
    """All photos of each part as one split; see `acnet.data.readers.source.Source`.

    Args:
        image_root: a folder that holds the photos of all parts.
        parts: by split; their formats and class names are the same.
    """

    image_root: Path
    parts: Mapping[str, Source]

    @property
    def format(self) -> str:
        return next(iter(self.parts.values())).format

    @property
    def class_names(self) -> tuple[str, ...]:
        return next(iter(self.parts.values())).class_names

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Each part's photos, whichever of its own splits list them."""
        return {split: tuple(sorted(self._names(part))) for split, part in self.parts.items()}

    @property
    def inputs(self) -> list[Path]:
        return [path for part in self.parts.values() for path in part.inputs]

    @property
    def unlisted(self) -> list[Path]:
        return [path for part in self.parts.values() for path in part.unlisted]

    @property
    def notes(self) -> list[Note]:
        return [note for part in self.parts.values() for note in part.notes]

    def read(self, file_name: str) -> Annotated:
        folders = {self._folder(part): part for part in self.parts.values()}
        folder = next(folder for folder in folders if file_name.startswith(folder))
        read = folders[folder].read(file_name.removeprefix(folder))
        return dataclasses.replace(read, file_name=file_name)

    def _names(self, part: Source) -> set[str]:
        folder = self._folder(part)
        return {folder + name for names in part.splits.values() for name in names}

    def _folder(self, part: Source) -> str:
        return part.image_root.relative_to(self.image_root).as_posix() + "/"


def place_in_set(path: Path, source: Source) -> str:
    """Name a file of a data set without saying where the set lies."""
    if path.is_relative_to(source.image_root):
        return path.relative_to(source.image_root).as_posix()
    return f"{path.parent.name}/{path.name}"


def folder_prefixes(source: Source) -> list[str]:
    """List all ways to write the folders of a data set, longest first."""
    folders = {path.parent for path in (*source.inputs, *source.unlisted)} | {source.image_root}
    folders |= {folder.absolute() for folder in folders} | {folder.resolve() for folder in folders}
    return sorted((f"{folder}/" for folder in folders), key=len, reverse=True)


def without_folders(text: str, prefixes: Sequence[str]) -> str:
    """Take folders out of what a decoder or reader said."""
    if "/" in text:
        for prefix in prefixes:
            text = text.replace(prefix, "")
    return text
