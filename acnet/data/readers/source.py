"""What every reader offers, so that import, audit and split work on any format; names of splits."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from acnet.data.readers.safe_files import member
from acnet.data.records import Annotated, Note
from acnet.errors import UserError
from acnet.file_names import match_names
from acnet.photos.read import read_size

SPLIT_FOLDERS = ("train", "valid", "val", "validation", "test")
ONE_SPLIT = "all"
MAX_SPLIT_NAME = 60
RESERVED_END = "_tiles"  # what the names of tiles' files end in


def splits_of_folders(pictures: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Share pictures out by the first of their folders that is called as a split, else to "all"."""
    splits: dict[str, list[str]] = {}
    for name in sorted(pictures):
        splits.setdefault(split_folder(name) or ONE_SPLIT, []).append(name)
    return {split: tuple(names) for split, names in sorted(splits.items())}


def split_folder(name: str) -> str | None:
    """Return the first of a file's folders that is called as a split, in lower case, or None."""
    folders = map(str.lower, PurePosixPath(name).parts[:-1])
    return next((folder for folder in folders if folder in SPLIT_FOLDERS), None)


def pair_names(pictures: Iterable[str], others: Iterable[str], suffix: str) -> dict[str, str]:
    """Find the file with this suffix that is called as each picture, at best in the same folder."""
    wanted = {name: str(PurePosixPath(name).with_suffix(suffix)) for name in pictures}
    found = match_names(wanted.values(), others).found
    return {name: found[other] for name, other in wanted.items() if other in found}


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


def choose_splits(there: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the splits that are named, perhaps by patterns (`*`, `?`), in the order of the set."""
    there = list(there)
    missing = [name for name in patterns if not fnmatch.filter(there, name)]
    if missing and there:
        raise UserError(
            f"A split is chosen among those of the set. Received {', '.join(missing)}; there are "
            f"{', '.join(there)}. Correct the name."
        )
    return [name for name in there if any(fnmatch.fnmatchcase(name, p) for p in patterns)]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set as its makers left it. Making one lists files and reads no picture.

    Every reader adds what it needs to read a picture: paths and tables, and no open files, since
    several threads read at once.
    """

    format: str  # its name on the command line, such as "yolo"
    image_root: Path  # folder of the pictures
    # Sorted file names, below `image_root`, by split; folds may share pictures, and one that no
    # split lists is not in the set. A name in a list that no picture has stays as it is listed.
    splits: Mapping[str, Sequence[str]]
    # The files beside the pictures that decide the result: annotations, lists, tables.
    inputs: Sequence[Path] = ()
    # Pictures and annotations that are there and belong to no split or no partner.
    unlisted: Sequence[Path] = ()
    # The names that the set declares, in their order; empty where there are none.
    class_names: tuple[str, ...] = ()
    # On what the reader could not take of the set as a whole, such as a box that belongs to no
    # picture.
    notes: Sequence[Note] = ()

    def read(self, file_name: str) -> Annotated:
        """Read one picture's size and annotation as they are written, uncleaned.

        Raises:
            UnreadableFileError: the picture or its annotation is damaged, or leaves the folder.
            FileNotFoundError: the picture, or an annotation that the format requires, is missing.
        """
        raise NotImplementedError

    def read_size(self, file_name: str) -> tuple[int, int]:
        """Read the height and width of a picture; raises as `read` does."""
        path = member(self.image_root, file_name)
        if not path.is_file():  # a pipe would never end
            raise FileNotFoundError(f"no such file: {path}")
        return read_size(path)


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
