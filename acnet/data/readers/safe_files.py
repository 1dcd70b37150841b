"""Reading what strangers wrote: names that stay in their folder, and text that may be anything.

A data set from the web is input like any other: names may lead elsewhere, text may be no text, and
JSON may be nested a million times. Whatever it is, one sort of error comes out of here.
"""

import functools
import json
import logging
import os
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from acnet.errors import UnreadableFileError, UserError, shown

logger = logging.getLogger(__name__)

MAX_NAME_BYTES = 255  # of one folder or file, on all common file systems
MAX_PATH_BYTES = 3000  # leaves room for the folder of the data set
NAME_CHARACTERS = 120  # of a class
_DRIVE = re.compile(r"^[A-Za-z]:")


def relative_name(name: str, place: str = "the annotation") -> str:
    """Return a name from an annotation with forward slashes, if it stays below its folder."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    leaves = name.startswith(("/", "\\")) or bool(_DRIVE.match(name)) or ".." in parts
    bad = not is_text(name) or "\0" in name or len(name) > MAX_PATH_BYTES
    if not parts or leaves or bad or max(len(part.encode()) for part in parts) > MAX_NAME_BYTES:
        raise UnreadableFileError(
            "A file is named relative to the data set's folder and lies in it, so that no others "
            f"are read. Received {shown(name)}. Correct the name in {place}."
        )
    return "/".join(parts)


def member(root: Path, name: str) -> Path:
    """Return the path of a file of a data set, which need not exist, if it stays in the folder."""
    return inside(root, root / relative_name(name))


def inside(root: Path, path: Path) -> Path:
    """Return a path below `root`, which need not exist, if no link on its way leads elsewhere.

    The folder `root` itself may be a symbolic link.
    """
    try:
        target = path.resolve()
        is_inside = target.is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise UnreadableFileError(
            f"A file must be reachable. Received {path}: {error}. Replace the link by the file."
        ) from error
    if not is_inside:
        raise UnreadableFileError(
            "A symbolic link must not lead out of the data set's folder, so that no others' files "
            f"are read. Received {path}, a link to {target}. Replace it by the file."
        )
    return path


def read_text(path: Path) -> str:
    """Read text in UTF-8, or in UTF-16 where its mark says so, as Windows writes it."""
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError(f"no such file: {path}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(
            f"An annotation must be readable. Received {path}: {error}. Correct its permissions."
        ) from error
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"An annotation is text in UTF-8. Received {path}: {error}. Save it as UTF-8."
        ) from error


def read_json(path: Path) -> Any:
    """Read JSON of any content; numbers may be NaN or infinite."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(
            f"An annotation file must be JSON. Received {path}: {error}. "
            "Replace the file by an intact copy."
        ) from error


def list_files(root: Path, suffixes: Iterable[str]) -> list[str]:
    """List files with given suffixes in a folder and all below it.

    Hidden files and folders are left out: `._a.jpg` and `.ipynb_checkpoints` are nobody's photos.
    Links to folders are not followed, since they may lead in circles; the log says which.

    Names have forward slashes and are sorted; those that are no Unicode are left out.
    """
    wanted = tuple(suffixes)
    found = []
    for folder, folders, files in os.walk(root, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        # A link to a folder that is gone counts as a file; of files a stat each would take long.
        for name in (*folders, *(name for name in files if "." not in name)):
            path = Path(folder, name)
            if path.is_symlink() and (name in folders or not path.exists()):
                _warn_of_link(path)
        prefix = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found += [
            str(prefix / name)
            for name in files
            if name.lower().endswith(wanted) and not name.startswith(".") and is_text(name)
        ]
    return sorted(name for name in found if is_text(name))


def class_name(value: object) -> str:
    """Return the name of a class as it can be written anywhere: one line of Unicode, trimmed."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    clean = text[: 2 * NAME_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return " ".join(clean.split())[:NAME_CHARACTERS]


def is_text(text: str) -> bool:
    """Return whether text can be written as UTF-8; names may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@functools.cache  # a folder is listed once for each sort of file
def _warn_of_link(path: Path) -> None:
    reason = (
        "is a link to a folder and not followed; give its target by --image-root or "
        "--annotation-root"
        if path.is_dir()
        else "is a link to nothing, and left out"
    )
    logger.warning("%s %s", path, reason)


def _refuse_folder(error: OSError) -> None:
    raise UserError(
        "All folders of a data set must be readable, or a part of it would be lost unseen. "
        f"Received {error}. Correct the permissions."
    ) from error
