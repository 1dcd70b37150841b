"""Files that are written: whole or not at all, never over inputs or files of others.

`atomic_write` survives a kill, `durable_write` a power cut as well. Tables are safe in
spreadsheets, hashes tell whether a file is still the one that was read, and many photos are worked
on in threads.
"""

import concurrent.futures
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from acnet.errors import UserError

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")
# Called with what is done and what there is to do.
Progress: TypeAlias = Callable[[int, int], None]

BLOCK_BYTES = 1 << 20
TERMINAL_INTERVAL_SECONDS = 0.1
LOG_INTERVAL_SECONDS = 30.0  # where stderr is a file
NAME_BYTES = 255  # that file systems take
# What `atomic_write` calls its files until they are whole.
_TEMPORARY_NAME = re.compile(r"\..+\.[0-9a-f]{12}\.tmp(\..+)?", re.DOTALL)

HEAD_BYTES = 4096
# What a spreadsheet takes for the beginning of a formula, which could run a command.
FORMULA_SIGNS = (*"=+-@\t\r\n", *"\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}")
FORMULA_SIGNS += ("\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends without an error.

    The temporary name is hidden, unique and keeps the suffix, since image writers choose the
    format by it; it is no longer than file systems take. Missing parent folders are made. Where
    the block raises, the temporary file is removed and `path` stays as it was. What the system has
    to say of a full disk then names `path`.
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
    except OSError as error:
        if error.errno is not None and error.filename is None:  # as of a write or a sync
            error.filename = str(path)
        raise
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
    """Remove the temporary files that a killed process left in a folder.

    No other process may be saving to it. Returns the removed files, sorted.
    """
    names = [file for file in Path(folder).glob(".*") if _TEMPORARY_NAME.fullmatch(file.name)]
    stale = sorted(file for file in names if file.is_file())
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
    """Write UTF-8 text with Unix line ends, atomically.

    What UTF-8 cannot hold, such as half of a surrogate pair in the name of a file, is escaped as
    JSON does.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: str | os.PathLike, content: Any, *, indent: int | None = None) -> None:
    """Write JSON atomically, in one line unless `indent` is given; NaN is refused.

    Equal content gives equal bytes.
    """
    write_text(path, json_text(content, indent=indent))


def json_text(content: Any, *, indent: int | None = None) -> str:
    """Return the text that `write_json` writes."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False, indent=indent) + "\n"


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a whole file, 64 hexadecimal digits, reading a block at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def digest(content: Any) -> str:
    """Return a hash, 32 hexadecimal digits, of numbers, texts, and lists and mappings of them.

    Classes and functions stand for their names.
    """
    text = json.dumps(content, sort_keys=True, default=_name)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _name(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def progress_bar(iterable: Iterable | None = None, **options: Any) -> "tqdm":
    """Return a bar of `tqdm`, with its options, on stderr, which does not flood a log file."""
    from tqdm import tqdm

    interval = TERMINAL_INTERVAL_SECONDS if sys.stderr.isatty() else LOG_INTERVAL_SECONDS
    return tqdm(iterable, mininterval=interval, **options)


def check_output_file(
    path: Path,
    *,
    inputs: Iterable[Path] = (),
    marks: Sequence[str] = (),
    option: str = "",
    known: Callable[[Path], object] | None = None,
) -> None:
    """Refuse a place for an output before the work begins.

    A file that is there already may be replaced only if this command wrote it, or it is empty.

    Args:
        path: of the file to write; folders above it may be missing.
        marks: texts, one of which begins, within 4096 bytes, every file that the command writes.
        option: what the user named the file by, for the error.
        known: in place of marks: reads what the command wrote, and raises a UserError for others.

    Raises:
        UserError: Writing there would replace an input or a file of another origin, or cannot
            succeed.

    Example:
        >>> check_output_file(Path("no such folder/numbers.json"), inputs=[Path("gt.json")])
    """
    fault = _fault(path, inputs, marks, known)
    if fault:
        raise UserError(
            "An output never replaces a file that this command did not write. Received "
            f"{option + ' ' if option else ''}{path}, {fault}; name another file."
        )


def _fault(
    path: Path, inputs: Iterable[Path], marks: Sequence[str], known: Callable[[Path], object] | None
) -> str | None:
    try:
        if any(_is_same(path, other) for other in inputs):
            return "which is an input of this command"
        if path.is_dir():
            return "which is a folder"
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return "which is a link or a device"
        if not path.exists():
            return _parent_fault(path)
        head = _head(path)
        if head and known is not None:
            known(path)
            head = ""
    except UserError:
        return "which holds something else"
    except (OSError, ValueError) as error:
        return f"which cannot be written ({getattr(error, 'strerror', None) or error})"
    if head and not any(mark in head for mark in marks):
        return "which holds something else"
    return None if os.access(path.parent, os.W_OK) else "in a folder that cannot be written to"


def is_ours(path: Path, marks: Sequence[str]) -> bool:
    """Tell whether a file, and no link to one, has one of the marks of those that we write."""
    try:
        return path.is_file() and not path.is_symlink() and any(m in _head(path) for m in marks)
    except (OSError, ValueError):
        return False


def check_output_folder(folder: Path) -> None:
    """Refuse a place for a folder of results, which may be there already.

    Raises:
        UserError: It is no folder, or none can be made or written to there.
    """
    try:
        if folder.exists() and not folder.is_dir():
            fault = "which is a file"
        elif folder.exists():
            can_write = os.access(folder, os.W_OK | os.X_OK)
            fault = None if can_write else "which cannot be written to"
        else:
            fault = _parent_fault(folder)
    except (OSError, ValueError) as error:
        fault = f"which cannot be made ({getattr(error, 'strerror', None) or error})"
    if fault:
        raise UserError(
            "The results are several files, so --output is a folder that can be written to. "
            f"Received {folder}, {fault}; name another place."
        )


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES).decode("utf-8", "replace")


def _is_same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def _parent_fault(path: Path) -> str | None:
    """Tell what keeps a file from being made; missing folders are made with it."""
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        return f"but {above} is no folder"
    return None if os.access(above, os.W_OK) else f"but {above} cannot be written to"


def spreadsheet_cell(value: object) -> object:
    """Return what a cell shows, with text that could be a formula marked as text.

    Example:
        >>> spreadsheet_cell("=cmd.jpg"), spreadsheet_cell(-3), spreadsheet_cell("a.jpg")
        ("'=cmd.jpg", -3, 'a.jpg')
    """
    is_formula = isinstance(value, str) and value.startswith(FORMULA_SIGNS)
    return f"'{value}" if is_formula else value


def csv_text(rows: Iterable[Sequence[object]], *, bom: bool = False) -> str:
    """Return a table for spreadsheets, whose first row is its headers; None is an empty cell.

    With `bom` it begins with a byte order mark, which Excel needs to see that it is UTF-8.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(map(spreadsheet_cell, row) for row in rows)
    return ("\N{ZERO WIDTH NO-BREAK SPACE}" if bom else "") + text.getvalue()


def write_csv(path: Path, rows: Iterable[Sequence[object]], *, bom: bool = False) -> None:
    """Write what `csv_text` returns, atomically, in UTF-8."""
    write_text(path, csv_text(rows, bom=bom))


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def map_photos(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, description: str
) -> Iterator[Result]:
    """Apply a function to every item in threads of this process, and yield the results in order.

    For work that leaves Python, as decoding, encoding and drawing do: threads start at once, share
    memory, and end with their process however it is killed. An error of the function abandons the
    rest.
    """
    with concurrent.futures.ThreadPoolExecutor(max(workers, 1)) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in progress_bar(futures, desc=description, unit="photo"):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
