"""Files that survive a kill or a power cut: whole and on the disk before they get their name."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from acnet.data.files import atomic_write

# What `atomic_write` calls a checkpoint's temporary file.
_TEMPORARY_NAME = re.compile(r"\.(.+\.[0-9a-f]{12}\.tmp\.pth|last_checkpoint\.[0-9a-f]{12}\.tmp)")


@contextlib.contextmanager
def durable_write(path: str | os.PathLike) -> Iterator[Path]:
    """`atomic_write` that also forces the content, then the new name, onto the disk.

    Args:
        path: the file to write.

    Returns:
        A context manager whose value is the temporary path that the block has to write.
    """
    path = Path(path)
    with atomic_write(path) as temporary:
        yield temporary
        _sync(temporary)
    _sync(path.parent)


def remove_stale(folder: str | os.PathLike) -> list[Path]:
    """Removes the temporary checkpoint files that a killed process left in a folder.

    Args:
        folder: a folder that no other process is saving to.

    Returns:
        The removed files, sorted.
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
