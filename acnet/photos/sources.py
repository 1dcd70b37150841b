"""Which photos the user means, and what each is called in the outputs."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from acnet.errors import UserError

# In folders, files with these endings are photos; a file that is named itself may end in anything.
PHOTO_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)


@dataclass(frozen=True)
class Source:
    """One photo to be read.

    Args:
        path: Where it is.
        name: What the outputs call it: the shortest end of its path that no other photo shares.
        stem: The same as one part of a file name, without its ending, for the pictures.
    """

    path: Path
    name: str
    stem: str


def find_photos(arguments: Iterable[str | os.PathLike]) -> list[Source]:
    """Find the photos that files and folders stand for.

    Folders are not searched below their first level, and hidden files in them are left out.

    Args:
        arguments: Files and folders, as the user gave them.

    Returns:
        Each photo once, in the order of the arguments, folders sorted by name.

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
    names = _shortest_distinct_tails(absolute)
    stems = _distinct_stems(names)
    return [Source(*row) for row in zip(found.values(), names, stems, strict=True)]


def numbered(sources: Sequence[Source]) -> list[Source]:
    """Call photos by number, since file names often say whose face it is.

    Args:
        sources: In the order that numbers them.

    Returns:
        The same photos, called "photo 0001" and so on.
    """
    return [
        Source(source.path, f"photo {number:04d}", f"photo_{number:04d}")
        for number, source in enumerate(sources, start=1)
    ]


def _photos_of(argument: Path) -> list[Path]:
    if argument.is_dir():
        return sorted(
            path
            for path in argument.iterdir()
            if path.suffix.lower() in PHOTO_SUFFIXES
            and not path.name.startswith(".")
            and path.is_file()
        )
    if argument.exists():
        return [argument]
    raise UserError(
        f"Every IMAGE must be a photo or a folder of photos. Received {argument}, which does not "
        "exist; check its spelling."
    )


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


def _distinct_stems(names: Sequence[str]) -> list[str]:
    """Return names as single parts of a path, distinct also where case makes no difference."""
    flat = [name.replace("/", "_") for name in names]
    short = [os.path.splitext(name)[0] for name in flat]  # noqa: PTH122 - no path
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
