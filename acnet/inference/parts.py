"""What is known of each photo, in a file of its own, so that a run goes on where it was stopped.

Each file appears whole or not at all, after the pictures that it names: a kill at any moment loses
the photo under way. Files are called by a hash of everything that decides the result, so that a
changed photo, config, weight or option is never taken for the old one.

KEY.json         what was found, and which pictures show it
KEY.failed.json  why the photo cannot be read; tried again by the next run
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from acnet.files import write_json

FORMAT = 1  # raise it when the meaning of the files changes
PARTS = ".parts"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One photo's result.

    Args:
        image_hw: Its height and width in pixels, upright.
        rows: Its detections as COCO results, without the photo's id.
        seconds: Of reading and predicting.
        drawn: Hash of the options that its pictures were drawn with.
        files: Path of each picture in the output folder, by kind.
    """

    image_hw: tuple[int, int]
    rows: list[dict]
    seconds: float
    drawn: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


class PartStore:
    """The parts in an output folder.

    Args:
        output: Folder of all results.
    """

    def __init__(self, output: Path):
        self.output = output
        self.folder = output / PARTS

    def read(self, key: str) -> Part | None:
        """Return a photo's part; None where there is none that can be used."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            return None
        if content.keys() != {field.name for field in dataclasses.fields(Part)}:
            return None
        if not all(_is_inside(file) for file in content["files"].values()):
            return None
        return Part(**{**content, "image_hw": tuple(content["image_hw"])})

    def write(self, key: str, part: Part) -> None:
        """Write a photo's part, once its pictures are there."""
        write_json(self._path(key), {"format": FORMAT, **dataclasses.asdict(part)})

    def has(self, key: str, drawn: str) -> bool:
        """Tell whether a photo is finished, with its pictures drawn as wanted."""
        part = self.read(key)
        return part is not None and self.is_drawn(part, drawn)

    def is_drawn(self, part: Part, drawn: str) -> bool:
        """Tell whether a part's pictures are there, drawn with the options of that hash."""
        files = (self.output / file for file in part.files.values())
        return part.drawn == drawn and all(file.is_file() for file in files)

    def write_failure(self, key: str, reason: str) -> None:
        """Keep why a photo is left out."""
        write_json(self._failure(key), {"reason": reason})

    def read_failure(self, key: str) -> str | None:
        """Return why a photo is left out; None where it is not."""
        try:
            return json.loads(self._failure(key).read_text(encoding="utf-8"))["reason"]
        except FileNotFoundError:
            return None

    def forget_failures(self) -> None:
        """Let photos that could not be read be tried again."""
        for path in self.folder.glob("*.failed.json"):
            path.unlink(missing_ok=True)

    def keep_only(self, keys: set[str]) -> None:
        """Remove the parts of other runs, and pictures that no part of this one names.

        Args:
            keys: Of this run's photos.
        """
        others = [key for key in self._keys() if key not in keys]
        needed = {file for key in keys if (part := self.read(key)) for file in part.files.values()}
        for key in others:
            part = self.read(key)
            for file in set(part.files.values()) - needed if part else ():
                (self.output / file).unlink(missing_ok=True)
            self._path(key).unlink(missing_ok=True)

    def _keys(self) -> list[str]:
        names = (path.name for path in self.folder.glob("*.json"))
        return sorted(name[:-5] for name in names if not name.endswith(".failed.json"))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _failure(self, key: str) -> Path:
        return self.folder / f"{key}.failed.json"


def _is_inside(file: str) -> bool:
    """Whether a name leads to FOLDER/FILE of the output, since what it names may be removed."""
    parts = PurePosixPath(file).parts
    return len(parts) == 2 and ".." not in parts and "/" not in parts
