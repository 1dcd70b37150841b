"""Several data sets below one folder as one set, in which each is a split; nothing is copied."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acnet.data.readers.source import Source
from acnet.data.records import Annotated, Note


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
        """The format of the parts."""
        return next(iter(self.parts.values())).format

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names that the parts declare."""
        return next(iter(self.parts.values())).class_names

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Each part's photos, whichever of its own splits list them."""
        return {split: tuple(sorted(self._names(part))) for split, part in self.parts.items()}

    @property
    def inputs(self) -> list[Path]:
        """The files beside the pictures that decide the result."""
        return [path for part in self.parts.values() for path in part.inputs]

    @property
    def unlisted(self) -> list[Path]:
        """What belongs to no split or no partner."""
        return [path for part in self.parts.values() for path in part.unlisted]

    @property
    def notes(self) -> list[Note]:
        """On what the readers could not take."""
        return [note for part in self.parts.values() for note in part.notes]

    def read(self, file_name: str) -> Annotated:
        """Reads one picture's size and annotation.

        Args:
            file_name: as in `splits`.
        """
        folders = {self._folder(part): part for part in self.parts.values()}
        folder = next(folder for folder in folders if file_name.startswith(folder))
        read = folders[folder].read(file_name.removeprefix(folder))
        return dataclasses.replace(read, file_name=file_name)

    def _names(self, part: Source) -> set[str]:
        folder = self._folder(part)
        return {folder + name for names in part.splits.values() for name in names}

    def _folder(self, part: Source) -> str:
        return part.image_root.relative_to(self.image_root).as_posix() + "/"
