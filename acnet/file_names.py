"""One folding of file names, for import, evaluation and prediction alike.

The same photo is called `A 1.JPG` on one disk, `a%201.jpg` in an address, `train\\a 1.jpg` by a
tool on Windows, and `/data/upload/4/a 1.jpg` in the export of a web tool; macOS writes "é" as two
characters. All of these find their photo, where only one can be meant.
"""

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

# In folders, files with these endings are photos; a file that is named itself may end in anything.
PHOTO_SUFFIXES = (
    *(".apng", ".avif", ".avifs", ".bmp", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k"),
    *(".jfi", ".jfif", ".jif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
# Pictures that are not read: raw camera files hold a thumbnail first, the others no photo.
RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos"),
    *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf"),
    *(".srw", ".x3f"),
)
OTHER_PICTURE_SUFFIXES = (
    *(*RAW_SUFFIXES, ".dcm", ".eps", ".ico", ".jxl", ".pbm", ".pfm", ".psd", ".svg", ".tga"),
)
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]+://[^/]*/?", re.IGNORECASE)
_LOCAL_FILES = "?d="  # Label Studio's address of a file on its own disk
_UPLOADS = re.compile(r"(?<![^/])(?:data/)?uploads?/[0-9]+/")  # Label Studio's
# Words of folders that say what lies in them, rather than whose it is.
_STRUCTURE = re.compile(
    r"(?:image|jpegimage|img|jpe?g|png|photo|picture|pic|label|annotation|annot|ann|xml|txt|bbox|"
    r"data|dataset|classification|detection|vocdevkit|voc[0-9]*|coco|yolo)s?"
)
_SPLIT = re.compile(r"(train|val|test)(?:ing|id|idation)?[0-9]*")
_TELL_NOTHING = (_SPLIT, _STRUCTURE)


def fold_name(name: str) -> str:
    r"""Return what all spellings of one file's name, with or without folders, have in common.

    Example:
        >>> fold_name("Train\\Foto%201.JPG") == fold_name("train/foto 1.jpg")
        True
    """
    address = _ADDRESS.match(name)
    if _LOCAL_FILES in name:
        name = name.split(_LOCAL_FILES, 1)[1]
    elif address:
        name = re.split(r"[?#]", name[address.end() :], maxsplit=1)[0]
    parts = unquote(name, errors="surrogateescape").replace("\\", "/").split("/")
    plain = "/".join(part for part in parts if part not in ("", "."))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())


class NameIndex:
    """Finds files, of which these are the names, by names that are written in another spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact = set(names)
        self._folded: dict[str, str | None] = {}
        for name in sorted(self._exact):
            # Two files that differ in spelling only: neither is meant by a third spelling.
            key = fold_name(name)
            self._folded[key] = None if key in self._folded else name

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> str | None:
        """Return the name that the file has, or None where there is none or several fit."""
        return name if name in self._exact else self._folded.get(fold_name(name))


@dataclass(frozen=True)
class MatchedNames:
    """Which file each written name means."""

    # The file's own name, by the name as written.
    found: Mapping[str, str] = field(default_factory=dict)
    # Those of `found` that agree in the end of their path only.
    by_end: frozenset[str] = frozenset()
    # The names of the files that fit equally well, by the name as written.
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def match_names(written: Iterable[str], names: Iterable[str]) -> MatchedNames:
    """Find the file that each written name means, unambiguously or not at all.

    A name that is equal, or equal but for its spelling, comes first. For what is left the end of
    the path decides: of the files that nobody else named, the one that shares the most of its last
    folders, if it is the only one, and if no other written name means the same file. One of the
    two paths must be the whole end of the other, but for folders such as `images`, and for those in
    which all of its side lie: the photo `p1/1.jpg` of one patient is not `p2/1.jpg` of another.

    Example:
        >>> match_names(["/data/upload/4/a.jpg"], ["train/a.jpg", "train/b.jpg"]).found
        {'/data/upload/4/a.jpg': 'train/a.jpg'}
    """
    written, names = list(dict.fromkeys(written)), sorted(set(names))
    index = NameIndex(names)
    found = {name: there for name in written if (there := index.find(name)) is not None}
    claimed = set(found.values())
    ambiguous = _drop_rivals(found)
    free: dict[str, list[tuple[list[str], str]]] = defaultdict(list)
    for name in names:
        if name not in claimed:
            parts = fold_name(name).split("/")
            free[parts[-1]].append((parts, name))
    left = [name for name in written if name not in found and name not in ambiguous]
    above = _folders_of_all(written, names) if left else []
    users: dict[str, list[str]] = defaultdict(list)
    for name in left:
        best = _longest_end(fold_name(name).split("/"), free)
        if len(best) == 1 and _is_end((name, best[0]), above):
            users[best[0]].append(name)
        elif len(best) > 1:
            ambiguous[name] = tuple(best)
    for there, claims in users.items():
        if len(claims) == 1:
            found[claims[0]] = there
        else:
            ambiguous.update(dict.fromkeys(claims, (there,)))
    by_end = frozenset(claims[0] for claims in users.values() if len(claims) == 1)
    return MatchedNames(found, by_end, ambiguous)


def _drop_rivals(found: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Take out spellings of one file: only a name that is equal to the file's keeps it."""
    users: dict[str, list[str]] = defaultdict(list)
    for name, there in found.items():
        users[there].append(name)
    rivals = {
        name: (there,)
        for there, claims in users.items()
        for name in claims
        if len(claims) > 1 and name != there
    }
    for name in rivals:
        del found[name]
    return rivals


def _longest_end(parts: list[str], free: Mapping[str, list[tuple[list[str], str]]]) -> list[str]:
    """Return the files that share the most last parts, at least the file's own name."""
    by_length = defaultdict(list)
    for other, name in free.get(parts[-1], []):
        pairs = zip(reversed(parts), reversed(other), strict=False)
        shared = itertools.takewhile(_are_equal, pairs)
        by_length[len(list(shared))].append(name)
    return by_length[max(by_length, default=0)]


def _folders_of_all(*sides: list[str]) -> list[set[str]]:
    """Of either side the first folders that all of it lies in, and nothing of the other side.

    Only where both sides have such folders they are roots, rather than those of one patient.
    """
    folders = [[fold_name(name).split("/")[:-1] for name in side] for side in sides]
    every = [{one for parts in side for one in parts} for side in folders]
    shared = []
    for side, others in zip(folders, reversed(every), strict=True):
        pairs = zip(min(side, default=[]), max(side, default=[]), strict=False)
        first = {one for one, _ in itertools.takewhile(_are_equal, pairs)}
        shared.append(first - others if len(side) > 1 else set())
    return shared if all(shared) else [set(), set()]


def _are_equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


def _is_end(pair: tuple[str, str], above: list[set[str]]) -> bool:
    """Whether one of two names ends in the other, but for words that tell nothing."""
    (parts, splits), (others, other_splits) = map(_telling_parts, pair, above)
    length = min(len(parts), len(others))
    is_same_split = not splits or not other_splits or bool(splits & other_splits)
    return is_same_split and parts[-length:] == others[-length:]


def _telling_parts(name: str, above: set[str]) -> tuple[list[str], set[str]]:
    """The folders and the file's name without words such as `images`, and the splits named.

    Folders in which all lies tell nothing either, but for a split.
    """
    *folders, last = _UPLOADS.sub("", fold_name(name)).split("/")
    kept, splits = [], set()
    for folder in folders:
        words = re.split(r"[-_ ]+", folder)
        splits.update(found[1] for found in map(_SPLIT.fullmatch, words) if found)
        if folder not in above:
            kept.append([w for w in words if not any(p.fullmatch(w) for p in _TELL_NOTHING)])
    return [*(" ".join(words) for words in kept if any(words)), last], splits
