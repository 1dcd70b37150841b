"""Files that a kill or a power cut leaves whole: the old one or the new one, never a half.

`atomic_write` survives a kill, `durable_write` a power cut as well. Beside them: hashes, which tell
whether a file is still the one that was read, and progress bars.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

BLOCK_BYTES = 1 << 20
TERMINAL_INTERVAL_SECONDS = 0.1
LOG_INTERVAL_SECONDS = 30.0  # where stderr is a file
NAME_BYTES = 255  # that file systems take
# What `atomic_write` calls a checkpoint's temporary file.
_TEMPORARY_NAME = re.compile(r"\.(.+\.[0-9a-f]{12}\.tmp\.pth|last_checkpoint\.[0-9a-f]{12}\.tmp)")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends without an error.

    The temporary name is hidden, unique and keeps the suffix, since image writers choose the
    format by it; it is no longer than file systems take. Missing parent folders are made. Where
    the block raises, the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = cut_name(path.suffix, NAME_BYTES // 4)
    ending = f".{secrets.token_hex(6)}.tmp{suffix}"
    stem = cut_name(path.stem, NAME_BYTES - len(os.fsencode(ending)) - 1)
    temporary = path.with_name(f".{stem}{ending}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it would hide why the block failed
            temporary.unlink(missing_ok=True)


def cut_name(name: str, most_bytes: int) -> str:
    """Shorten a file's name to so many bytes, between two letters."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= most_bytes else encoded[:most_bytes].decode(errors="ignore")


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file atomically once all of it is on the disk, so that a full one leaves no half."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def durable_write(path: str | os.PathLike) -> Iterator[Path]:
    """Do as `atomic_write`, and force the content, then the new name, onto the disk."""
    path = Path(path)
    with atomic_write(path) as temporary:
        yield temporary
        _sync(temporary)
    _sync(path.parent)


def remove_stale(folder: str | os.PathLike) -> list[Path]:
    """Remove the temporary checkpoint files that a killed process left in a folder.

    No other process may be saving to it. Returns the removed files, sorted.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    stale = sorted(file for file in folder.iterdir() if _TEMPORARY_NAME.fullmatch(file.name))
    for file in stale:
        file.unlink(missing_ok=True)
    return stale


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text with Unix line ends, atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike, content: Any, *, indent: int | None = None) -> None:
    """Write JSON atomically; equal content gives equal bytes.

    Args:
        path: the file to write.
        content: anything that `json` takes; NaN is refused, since JSON has none.
        indent: spaces per level for files that people read; None for one line.
    """
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, indent=indent)
    write_text(path, text + "\n")


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a whole file, 64 hexadecimal digits, reading a block at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def progress_bar(iterable: Iterable | None = None, **options: Any) -> "tqdm":
    """Return a bar of `tqdm` on stderr that a log file is not flooded by.

    Args:
        iterable: What to go through; None for a bar that is moved by hand.
        options: As for `tqdm`.
    """
    from tqdm import tqdm

    interval = TERMINAL_INTERVAL_SECONDS if sys.stderr.isatty() else LOG_INTERVAL_SECONDS
    return tqdm(iterable, mininterval=interval, **options)
