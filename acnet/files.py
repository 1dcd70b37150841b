"""Writing files so that a kill at any moment leaves the old one or the new one, never a half.

And telling by a hash whether a file is still the one that was read.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path`, renamed to it when the block ends without an error.

    The temporary name is hidden, unique and keeps the suffix, since image writers choose the
    format by it. Where the block raises, the temporary file is removed and `path` stays as it was.

    Args:
        path: the file to write; missing parent folders are made.

    Returns:
        A context manager whose value is the temporary path that the block has to write.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 text with Unix line ends, atomically.

    Args:
        path: the file to write.
        text: its whole content.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike, content: Any, *, indent: int | None = None) -> None:
    """Writes JSON atomically; equal content gives equal bytes.

    Args:
        path: the file to write.
        content: anything that `json` takes; NaN is refused, since JSON has none.
        indent: spaces per level for files that people read; None for one line.
    """
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, indent=indent)
    write_text(path, text + "\n")


def file_sha256(path: str | os.PathLike) -> str:
    """Hashes a whole file, a block at a time.

    Args:
        path: a file that exists.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
