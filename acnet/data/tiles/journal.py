"""Which photos are cut already, so that a killed run goes on where it was.

One line of JSON a photo, after a first line that says how they are cut. A photo's line is added
when all its tiles are written; it is believed only while the photo has the same bytes and its tiles
are there. Lines come in the order of the work, and are sorted by photo at the end.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acnet.files import write_text


@dataclass(frozen=True)
class CutPhoto:
    """What is known of a photo that was cut.

    Args:
        photo: its file name.
        sha256: of its bytes.
        tiles: file names of the tiles that were written, and their sizes in bytes.
    """

    photo: str
    sha256: str
    tiles: Mapping[str, int]


class Journal:
    """The file of the photos that are cut.

    Args:
        path: the file; a missing one is begun.
        made_with: all that decides the tiles' bytes but the photos; with anything else the file
            is begun anew.
    """

    def __init__(self, path: Path, made_with: Mapping[str, Any]) -> None:
        self._path = path
        self._head = json.dumps({"made_with": made_with}, sort_keys=True)
        self.known = self._read()
        # Begun anew without the half line that a kill may have left at the end.
        self._write(self.known.values())

    def add(self, photo: CutPhoto) -> None:
        """Notes that a photo is cut.

        Args:
            photo: all its tiles are written.
        """
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(photo) + "\n")

    def finish(self, photos: Iterable[CutPhoto]) -> None:
        """Leaves the photos of this run only, sorted.

        Args:
            photos: all of this run.
        """
        self._write(sorted(photos, key=lambda photo: photo.photo))

    def _write(self, photos: Iterable[CutPhoto]) -> None:
        write_text(self._path, "\n".join([self._head, *map(_line, photos), ""]))

    def _read(self) -> dict[str, CutPhoto]:
        if not self._path.is_file():
            return {}
        head, *lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        if head != self._head:
            return {}
        photos = map(_parse, lines[:-1])  # what follows the last line end is no whole line
        return {photo.photo: photo for photo in photos if photo is not None}


def _line(photo: CutPhoto) -> str:
    return json.dumps(dataclasses.asdict(photo), ensure_ascii=False)


def _parse(line: str) -> CutPhoto | None:
    try:
        return CutPhoto(**json.loads(line))
    except (ValueError, TypeError):
        return None  # not a line of ours: the photo is cut again
