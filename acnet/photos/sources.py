"""Which photos the user means, what each is called in the outputs, and which are this process's."""

import contextlib
import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acnet.errors import UserError, printable
from acnet.file_names import OTHER_PICTURE_SUFFIXES, PHOTO_SUFFIXES, RAW_SUFFIXES
from acnet.files import cut_name, digest
from acnet.photos.read import RAW_REMEDY

logger = logging.getLogger(__name__)

# What Windows takes in no file's name, in case the results go there.
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\.|$)", re.IGNORECASE)
_PICTURE_HEAD = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|II\*\0|MM\0\*|BM.{4}\0{4}|\0{3}\x0cjP  "
    rb"|....ftyp(hei|hev|mif1|msf1|avi)",
    re.DOTALL,
)
HEAD_BYTES = 16
ENDS_BYTES = 1 << 16  # of a photo, that tell it from another
STEM_BYTES = 200  # file systems take names of 255 bytes, and endings and temporary names need some


@dataclass(frozen=True)
class Source:
    """One photo to be read."""

    path: Path  # where it is
    name: str  # what the outputs call it: the shortest end of its path that no other photo shares
    stem: str  # the same as one part of a file name, without its ending, for the pictures


def find_photos(arguments: Iterable[str | os.PathLike]) -> list[Source]:
    """Find the photos that files and folders stand for.

    Folders are not searched below their first level, and hidden files in them are left out. Each
    photo is there once, in the order of the arguments, folders sorted by name.

    Raises:
        UserError: An argument does not exist, or there is no photo at all.
    """
    arguments = [Path(argument) for argument in arguments]
    found = {}
    for argument in arguments:
        for path in _photos_of(argument):
            found.setdefault(path.resolve(), path)
    if not found:
        raise UserError(
            "A prediction needs at least one photo, and the folders given hold none. Received "
            f"{', '.join(map(str, arguments))}; give photo files, or a folder with files ending in "
            f"{', '.join(PHOTO_SUFFIXES)}."
        )
    # abspath, not resolve: a link is called by its own name.
    absolute = [Path(os.path.abspath(path)) for path in found.values()]  # noqa: PTH100
    names = [_in_utf8(name) for name in _shortest_distinct_tails(absolute)]
    stems = distinct_stems(names)
    return [Source(*row) for row in zip(found.values(), names, stems, strict=True)]


def numbered(sources: Sequence[Source]) -> list[Source]:
    """Call photos by number, "photo 0001" and so on: file names often say whose face it is."""
    return [
        Source(source.path, f"photo {number:04d}", f"photo_{number:04d}")
        for number, source in enumerate(sources, start=1)
    ]


def photo_digest(source: Source) -> str:
    """Return a hash that changes when a photo changes, without reading large photos whole.

    It is that of its name, size, time of change, and first and last 64 KiB; the photo need not be
    readable.
    """
    try:
        status = source.path.stat()
        with source.path.open("rb") as file:
            first = file.read(ENDS_BYTES)
            file.seek(max(0, status.st_size - ENDS_BYTES))
            ends = hashlib.sha256(first + file.read(ENDS_BYTES)).hexdigest()
    except OSError as error:
        return digest([source.stem, error.errno])
    return digest([source.stem, status.st_size, status.st_mtime_ns, ends])


def without_folders(text: str, source: Source) -> str:
    """Call a photo by its name in the outputs where an error calls it by path or file name.

    Errors hold paths as they are, and as Python writes them in a program, "\\xa0" for a space.
    """
    paths = {source.path, source.path.absolute(), source.path.resolve()}
    folders = {path.absolute().parent for path in paths} - {Path("/")}
    replaced = {form: source.name for path in paths for form in _forms(str(path))}
    replaced |= {form: "..." for folder in folders for form in _forms(str(folder))}
    if source.path.name not in source.name:
        replaced |= dict.fromkeys(_forms(source.path.name), source.name)
    for form in sorted(replaced, key=len, reverse=True):
        text = re.sub(
            rf"(?<![\w.-]){re.escape(form)}(?![\w-])" if "/" not in form else re.escape(form),
            lambda _: replaced[form],  # noqa: B023 - called at once
            text,
        )
    return text


def _forms(name: str) -> set[str]:
    return {name, repr(name)[1:-1], ascii(name)[1:-1], printable(name)}


def _photos_of(argument: Path) -> list[Path]:
    if not os.path.lexists(argument):
        raise UserError(
            f"Every IMAGE must be a photo or a folder of photos. Received {argument}, which does "
            "not exist; check its spelling."
        )
    if argument.is_file():
        return [argument]
    if not argument.is_dir():
        _tell("%s is left out: a link to nothing, or no file but a device or pipe", argument)
        return []
    visible = sorted(path for path in argument.iterdir() if not path.name.startswith("."))
    photos = [path for path in visible if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()]
    others = [path for path in visible if not path.is_file()]
    _tell_left_out(argument, "raw photos, left out. " + RAW_REMEDY, visible, RAW_SUFFIXES)
    unread = set(OTHER_PICTURE_SUFFIXES) - set(RAW_SUFFIXES)
    _tell_left_out(argument, "pictures of kinds that are not read", visible, unread)
    unnamed = sum(map(_is_picture, visible))
    if unnamed:
        what = "pictures by their content, not by their ending, left out. Give them by name"
        _tell("%s holds %d %s", argument, unnamed, what)
    folders = [path.name for path in others if path.is_dir()]
    if folders:
        _tell("%s holds folders that are not searched (%d): give them too", argument, len(folders))
    odd = [path.name for path in others if not path.is_dir()]
    if odd:
        what = f"{odd[0]}{' and others' * (len(odd) > 1)}"
        _tell("%s holds links to nothing, devices or pipes, left out: %s", argument, what)
    return photos


def _is_picture(path: Path) -> bool:
    """Tell by its content whether a file of another ending, or of none, is a picture."""
    if path.suffix.lower() in (*PHOTO_SUFFIXES, *OTHER_PICTURE_SUFFIXES) or not path.is_file():
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        return _PICTURE_HEAD.match(file.read(HEAD_BYTES)) is not None
    return False


def _tell_left_out(folder: Path, what: str, visible: list[Path], suffixes: Iterable[str]) -> None:
    count = sum(path.suffix.lower() in suffixes for path in visible)
    if count:
        _tell("%s holds %d %s", folder, count, what)


def _tell(text: str, *values: object) -> None:
    shown = [printable(f"{value}") if isinstance(value, Path) else value for value in values]
    logger.warning(text, *shown)


def _shortest_distinct_tails(paths: Sequence[Path]) -> list[str]:
    """Return file names, with as many of their folders before them as tells them apart."""
    depths = [1] * len(paths)
    while True:
        tails = ["/".join(path.parts[-depth:]) for path, depth in zip(paths, depths, strict=True)]
        uses = Counter(tails)
        longer = [
            depth + 1 if uses[tail] > 1 and depth < len(path.parts) else depth
            for path, tail, depth in zip(paths, tails, depths, strict=True)
        ]
        if longer == depths:
            return tails
        depths = longer


def distinct_stems(names: Sequence[str]) -> list[str]:
    """Return names as single parts of a path, distinct also where case makes no difference."""
    flat = [_stem(name.replace("/", "_")) for name in names]
    short = [_stem(os.path.splitext(name.replace("/", "_"))[0]) for name in names]  # noqa: PTH122
    uses = Counter(stem.casefold() for stem in short)
    stems, taken = [], set()
    for full, stem in zip(flat, short, strict=True):
        wanted = stem if uses[stem.casefold()] == 1 else full
        number, distinct = 1, wanted
        while distinct.casefold() in taken:
            number += 1
            distinct = f"{wanted}-{number}"
        taken.add(distinct.casefold())
        stems.append(distinct)
    return stems


def _stem(name: str) -> str:
    """Make a name one that Windows takes too, and not too long."""
    stem = cut_name(_FORBIDDEN.sub("_", name), STEM_BYTES).rstrip(" .")
    return f"{stem}_" if _RESERVED.match(stem) or not stem else stem


def _in_utf8(name: str) -> str:
    """Write bytes that are no UTF-8 as an address does, %FF, by which evaluation finds them."""
    return re.sub(r"[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name)


@dataclass(frozen=True)
class Ranks:
    """This process among those that work on the same photos, which share a folder and no more."""

    rank: int = 0  # from 0; the first writes what all have found
    world_size: int = 1  # how many there are, on all machines
    local_rank: int = 0  # among those of this machine, from 0; chooses its GPU

    @property
    def is_first(self) -> bool:
        """Whether this process writes the tables and the page."""
        return self.rank == 0

    @property
    def has_others(self) -> bool:
        """Whether other processes work on the same photos."""
        return self.world_size > 1


def ranks_from(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Read what torchrun sets; one process alone where torchrun did not start this one.

    Raises:
        UserError: The variables contradict each other or are no numbers.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Ranks()
    texts = [environment.get(name, "0") for name in names]
    if all(text.isdecimal() for text in texts):
        rank, world_size, local_rank = map(int, texts)
        if rank < world_size:
            return Ranks(rank, world_size, local_rank)
    received = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))
    raise UserError(
        "Several processes tell each other apart by RANK, from 0 to below WORLD_SIZE, which "
        f"torchrun sets. Received {received}. Start them by torchrun, or unset these variables."
    )
