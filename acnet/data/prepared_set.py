"""A prepared data set on disk: where its files are, and what its manifest says of its making.

The manifest holds options, counts and a hash of every input. It completes a set: while it is
missing or says otherwise, nothing loads. It also tells whether the inputs are still those that were
converted.
"""

import functools
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from acnet.errors import UserError
from acnet.files import file_sha256, write_json

NUM_FOLDS = 5
# The five folds of ACNE04 and of the toy photos, whose names are known before they are prepared.
FOLD_SPLITS = tuple(
    f"{split}_{fold}" for fold in range(NUM_FOLDS) for split in ("trainval", "test")
)
ACNE_CLASSES = ("acne",)
PREFIXES = ("acne04", "toy")
TOY_TESTS_PREFIX = "toy_tests"
TOY_TESTS = ("mixed", "colour", "scale", "density")  # its splits, see acnet/data/toy/toy_set.py
TILES_SUFFIX = "_tiles"


def datasets_root(root: str | os.PathLike | None = None) -> Path:
    """Return the folder that holds the data sets: `root`, `$DETECTRON2_DATASETS` or `datasets`."""
    return Path(root or os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


@dataclass(frozen=True)
class PreparedLayout:
    """The paths of one prepared data set."""

    root: Path  # the folder that holds the data sets
    prefix: str  # the first word of its registered names, and its folder below `root`

    @classmethod
    def of_folder(cls, folder: str | os.PathLike) -> "PreparedLayout":
        """Return the layout of a set that has this folder."""
        absolute = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 - keeps links
        return cls(absolute.parent, absolute.name)

    @property
    def folder(self) -> Path:
        """The data set's own folder."""
        return self.root / self.prefix

    @property
    def images(self) -> Path:
        """The folder of the photos, where they were copied."""
        return self.folder / "images"

    @property
    def tiles(self) -> Path:
        """The folder of the tiles' pictures."""
        return self.folder / "tiles"

    @property
    def annotations_folder(self) -> Path:
        """The folder of the COCO files."""
        return self.folder / "annotations"

    @property
    def manifest(self) -> Path:
        """The file that says how the set was made and where its photos are."""
        return self.folder / "manifest.json"

    @property
    def dropped(self) -> Path:
        """The log of all that the preparation left out or changed."""
        return self.folder / "dropped.txt"

    def annotations(self, split: str, *, tiles: bool = False) -> Path:
        """The COCO file of one split."""
        return self.annotations_folder / f"{split}{TILES_SUFFIX if tiles else ''}.json"

    def dataset_name(self, split: str, *, tiles: bool = False) -> str:
        """The name under which detectron2 knows the same split."""
        return f"{self.prefix}_{split}{TILES_SUFFIX if tiles else ''}"


# What a manifest may hold beside `complete`.
FIELDS: Mapping[str, type] = MappingProxyType(
    {
        **dict.fromkeys(("image_root", "command"), str),
        **dict.fromkeys(("splits", "options", "dropped", "inputs", "pictures", "tiles"), dict),
        "class_names": list,
    }
)
# How the commands begin that a manifest may hold, which a stranger may have written.
COMMANDS = ("acnet data ", "acnet review ", "python datasets/prepare_acne04.py ")
CHANGED = "changed after the conversion"
MISSING = "is missing"


def file_state(path: Path) -> list:
    """Read what the manifest notes of a file: bytes, time of its last change in ns, and SHA-256."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, file_sha256(path)]


def read_manifest(layout: PreparedLayout) -> dict[str, Any]:
    """Read the manifest of a set, which must be complete."""
    try:
        manifest = _read_json(layout.manifest)
    except FileNotFoundError:
        fault = f"no {layout.manifest}"
    except (ValueError, RecursionError) as error:
        fault = f"{layout.manifest}, which is not JSON: {error}"
    else:
        if _is_manifest(manifest) and manifest["complete"] and "image_root" in manifest:
            return manifest
        fault = f"a preparation that did not finish, in {layout.folder}"
    raise UserError(
        f"The data set {layout.prefix} must be prepared before it is used, since detectron2 reads "
        f"its COCO files. Received {fault}. Make it with: {remedy(layout, {})}"
    )


def earlier_manifest(layout: PreparedLayout) -> dict[str, Any] | None:
    """Read the manifest of a set, complete or not; None where there is none of ours."""
    try:
        manifest = _read_json(layout.manifest)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    is_ours = _is_manifest(manifest) and (
        manifest == {"complete": False}
        or ("image_root" in manifest and not manifest.keys().isdisjoint({"splits", "dropped"}))
    )
    return manifest if is_ours else None


def check_fresh(
    layout: PreparedLayout, manifest: Mapping[str, Any], pictures: Iterable[str]
) -> None:
    """Compare the inputs of a set with what was converted.

    Size and time of each are looked at, and the content only where these differ. An annotation
    that is gone is not missed, since the COCO files hold what it said, nor is a photo of which
    only tiles are read: `pictures` names those that must be there.
    """
    image_root = layout.folder / manifest["image_root"]
    rows = {layout.folder / name: row for name, row in manifest.get("inputs", {}).items()}
    rows.update({image_root / name: row for name, row in manifest.get("pictures", {}).items()})
    needed = {image_root / name for name in pictures}
    for path, row in rows.items():
        fault = _fault(path, row)
        if fault == CHANGED or (fault == MISSING and path in needed):
            raise UserError(
                "A prepared set must agree with what it was made from, or boxes and photos differ. "
                f"Received {path}, which {fault}. If the photos were moved, say where they are "
                f"with: acnet data relocate {shlex.quote(str(layout.folder))} --image-root DIR. "
                f"Else convert it again with: {remedy(layout, manifest)}"
            )


def relocate(layout: PreparedLayout, image_root: Path) -> int:
    """Note where the photos of a set are now, if each is as it was; returns how many there are.

    Annotations that did not move with the set are forgotten: the COCO files hold what they said.
    """
    manifest = read_manifest(layout)
    inputs = manifest.get("inputs", {}).items()
    moved = {
        **manifest,
        "image_root": portable_path(image_root, layout),
        "inputs": {name: row for name, row in inputs if not _fault(layout.folder / name, row)},
    }
    check_fresh(layout, moved, manifest.get("pictures", {}))
    write_json(layout.manifest, moved, indent=2)
    return len(manifest.get("pictures", {}))


def portable_path(path: Path, layout: PreparedLayout) -> str:
    """Return how the manifest names a path: relative to the set, so that both can be moved."""
    return Path(os.path.relpath(path.absolute(), layout.folder.absolute())).as_posix()


def remedy(layout: PreparedLayout, manifest: Mapping[str, Any]) -> str:
    """Return the command that makes a set again; one that we would not write is not passed on."""
    command = manifest.get("command", "")
    if command.startswith(COMMANDS) and _is_one_command(command):
        return f"cd {shlex.quote(str(layout.root))} && {command}"
    if layout.prefix == TOY_TESTS_PREFIX:
        return f"acnet data toy-tests {layout.folder}"
    return (
        f"python datasets/prepare_acne04.py --src SOURCE --dst {layout.root} "
        f"--prefix {layout.prefix}"
    )


def _is_one_command(command: str) -> bool:
    """Tell whether a shell takes a text for the words of one command, all of which show."""
    try:
        return command.isprintable() and shlex.join(shlex.split(command)) == command
    except ValueError:
        return False


def _read_json(path: Path) -> Any:
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError
    return json.loads(path.read_text(encoding="utf-8"))


def _is_manifest(content: Any) -> bool:
    """Tell whether what a manifest says has the types that we write; older ones lack some of it."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("complete"), bool)
        and all(isinstance(content.get(name, kind()), kind) for name, kind in FIELDS.items())
        and all(
            isinstance(row, list) and len(row) == 3
            for name in ("inputs", "pictures")
            for row in content.get(name, {}).values()
        )
    )


def _fault(path: Path, row: Sequence) -> str | None:
    """Whether a file is as it was, judged by its content only where size or time say otherwise."""
    size, mtime_ns, sha256 = row
    try:
        stat = path.stat()
    except OSError:
        return MISSING
    if (stat.st_size, stat.st_mtime_ns) == (size, mtime_ns):
        return None
    same = stat.st_size == size and _cached_sha256(str(path), stat.st_mtime_ns) == sha256
    return None if same else CHANGED


@functools.lru_cache(maxsize=100_000)
def _cached_sha256(path: str, mtime_ns: int) -> str:
    return file_sha256(path)
