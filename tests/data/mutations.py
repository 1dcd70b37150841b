"""Ways to spoil a data set, as broken disks, careless tools and hostile people do."""

import copy
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

EXTREMES = (
    *("nan", "inf", "-inf", "1e999", "-1", "0", "-0.0", "1e-320", "1e308", "999999999999999999999"),
    *("9" * 5000, "0x10", "1_0", "", " ", "true", "null", "None", "\u0661\u0662", "1,5", "\ud7ff"),
)
NAMES = (
    *("../../secret.jpg", "/etc/passwd", "C:\\windows\\win.ini", "..\\..\\secret.jpg", "", "."),
    *("..", "a\0b.jpg", "x" * 5000, "a" * 300 + ".jpg", "\u00e9.jpg", "e\u0301.jpg", "A.JPG"),
    *("con.jpg", "sub/../a.jpg", "./a.jpg", "//a.jpg", "a.jpg/", "~/a.jpg", "$HOME/a.jpg", "\t"),
)
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 10**400, 1e308, -1e308, float("nan"), float("inf")),
    *("", "1", "x" * 10_000, "\ud800", [], {}, [[]], [None], {"id": 1}, [1, 2, 3], "a.jpg"),
    *NAMES,
)
# What is found in a text, and what comes in its place, where `{}` stands for what was there.
PLACES: tuple[tuple[str, Sequence[str]], ...] = (
    (r"-?\d+\.?\d*", EXTREMES),
    ("[^\n]+", ("", "{}\n{}", "{}\n" * 1000, "  {}   \r")),
    ("[^\n]+", NAMES),
    ("<[^<>]*>", ("", "<name>", "</object>", "><")),
    (">[^<>]+<", [f">{name}<" for name in NAMES]),
)
SNIPPETS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\xe9", b"]" * 50, b"[" * 100_000),
    *(b"{", b"}", b'"', b"<", b"&lol;", b"<!DOCTYPE x [<!ENTITY lol 'lol'>]>", b"<a>" * 2000),
    *(b"&a", b"*a", b"!!python/object/apply:os.system ['true']", b"- ", b": ", b"\t", b"#", b"%"),
    *(b"x: &a [*a, *a]\n", b"1 2 3 4 5 6 7 8 9\n", b"<object/>", b"<?xml version='1.0'?>"),
)


def mutate(root: Path, rng: Random) -> str:
    """Spoil one thing in a data set of at least one file; returns what was done, in words."""
    files = _files(root)
    texts = [path for path in files if path.suffix in (".txt", ".json", ".xml", ".yaml")]
    change = rng.choice(CHANGES)
    path = rng.choice(files if change in ON_ANY_FILE or not texts else texts)
    change(path, root, rng)
    return f"{change.__name__.strip('_')} {path.relative_to(root)}"


def _files(root: Path) -> list[Path]:
    """Real files of the set alone: links may lead to the files of whoever runs this."""
    found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _flip_bytes(path: Path, root: Path, rng: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def _truncate(path: Path, root: Path, rng: Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) + 1)])


def _insert_snippet(path: Path, root: Path, rng: Random) -> None:
    content = path.read_bytes()
    place = rng.choice((0, len(content), rng.randrange(len(content) + 1)))
    path.write_bytes(content[:place] + rng.choice(SNIPPETS) + content[place:])


def _change_text(path: Path, root: Path, rng: Random) -> None:
    """Replace one of `PLACES`."""
    pattern, news = rng.choice(PLACES)
    text = path.read_text("utf-8", "surrogateescape")
    found = list(re.finditer(pattern, text))
    if found:
        place = rng.choice(found)
        new = rng.choice(news).replace("{}", place[0])
        text = text[: place.start()] + new + text[place.end() :]
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _change_json(path: Path, root: Path, rng: Random) -> None:
    """Remove, repeat or replace one node of JSON; any other file gets its bytes flipped."""
    try:
        content = json.loads(path.read_bytes())
        holder, key = rng.choice(_nodes(content))
    except (ValueError, RecursionError, IndexError):
        _flip_bytes(path, root, rng)
        return
    choice = rng.randrange(4)
    if choice == 0:
        del holder[key]
    elif choice == 1 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 500)))
    elif choice == 2:
        other, other_key = rng.choice(_nodes(content))
        holder[key] = copy.deepcopy(other[other_key])
    else:
        holder[key] = rng.choice(JSON_VALUES)
    path.write_text(json.dumps(content), "utf-8")


def _nodes(content: Any) -> list[tuple[Any, Any]]:
    keys: Iterable = content if isinstance(content, dict) else ()
    if isinstance(content, list):
        keys = range(len(content))
    return [(content, key) for key in keys] + [n for key in keys for n in _nodes(content[key])]


def _encode(path: Path, root: Path, rng: Random) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    path.write_bytes(text.encode(rng.choice(("utf-16", "utf-16-be", "cp037", "utf-7")), "replace"))


def _remove(path: Path, root: Path, rng: Random) -> None:
    path.unlink()


def _rename(path: Path, root: Path, rng: Random) -> None:
    stem, suffix = path.stem, path.suffix
    names = (
        *(stem.upper() + suffix, stem + suffix.upper(), stem + " copy" + suffix, "." + path.name),
        *(stem + "\u00e9" + suffix, unicodedata.normalize("NFD", stem + "\u00e9") + suffix),
        *(stem, stem + ".txt", stem + ".jpg", "x" * 200 + suffix, "\\".join((stem, "a")) + suffix),
        *(os.fsdecode(b"\xe9" + suffix.encode()), stem + "\n" + suffix, "C:" + path.name),
    )
    path.replace(path.with_name(rng.choice(names)))


def _replace(path: Path, root: Path, rng: Random) -> None:
    """Put a folder, a pipe or a link to elsewhere or to itself in the place of a file."""
    target = rng.choice(("/etc/passwd", str(root.parent / "secret.jpg"), path.name, "/dev/zero"))
    path.unlink()
    rng.choice((Path.mkdir, os.mkfifo, lambda path: path.symlink_to(target)))(path)


def _replace_folder_by_link(path: Path, root: Path, rng: Random) -> None:
    folder = path.parent
    moved = root / f"moved{rng.randrange(1000)}"
    if folder != root and not moved.exists():
        folder.rename(moved)
        folder.symlink_to(rng.choice((root.parent, moved, root, folder.name, "/etc")))


def _copy_over(path: Path, root: Path, rng: Random) -> None:
    path.write_bytes(rng.choice(_files(root)).read_bytes())


Change = Callable[[Path, Path, Random], None]
CHANGES: tuple[Change, ...] = (
    *(_flip_bytes, _truncate, _encode, _remove, _rename, _replace_folder_by_link, _copy_over),
    *(_replace, _replace, _replace),
    # Content matters most, so it is spoilt more often.
    *((_change_text,) * 6 + (_change_json,) * 2 + (_insert_snippet,) * 2),
)
ON_ANY_FILE = (_truncate, _flip_bytes, _remove, _rename, _replace)
