"""A data set whose photos are dealt to other splits, as another source; nothing is copied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acnet.data.readers.source import Source
from acnet.data.records import Annotated, Note


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
        """The format of the base."""
        return self.base.format

    @property
    def image_root(self) -> Path:
        """The folder of the pictures, which stay where they are."""
        return self.base.image_root

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names that the base declares."""
        return self.base.class_names

    @property
    def inputs(self) -> Sequence[Path]:
        """The files beside the pictures that decide the result."""
        return self.base.inputs

    @property
    def unlisted(self) -> Sequence[Path]:
        """What belonged to no split or no partner before."""
        return self.base.unlisted

    def read(self, file_name: str) -> Annotated:
        """Reads one picture's size and annotation.

        Args:
            file_name: as in `splits`.
        """
        return self.base.read(file_name)
