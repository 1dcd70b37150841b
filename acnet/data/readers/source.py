"""What every reader offers, so that import, audit and split work on any format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from acnet.data.records import Annotated, Note


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
        """Reads one picture's size and annotation.

        Args:
            file_name: as in `splits`.

        Returns:
            What is written, uncleaned.

        Raises:
            UnreadableFileError: the picture or its annotation is damaged, or leaves the folder.
            FileNotFoundError: the picture, or an annotation that the format requires, is missing.
        """
        ...
