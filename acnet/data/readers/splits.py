"""Splits that show in the names of folders, and names that any split can have."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

SPLIT_FOLDERS = ("train", "valid", "val", "validation", "test")
ONE_SPLIT = "all"
MAX_SPLIT_NAME = 60
RESERVED_END = "_tiles"  # what the names of tiles' files end in


def splits_of_folders(pictures: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Shares pictures out by the first of their folders that is called as a split.

    Args:
        pictures: names with forward slashes.

    Returns:
        Sorted names by split; those in no such folder are the split "all".
    """
    splits: dict[str, list[str]] = {}
    for name in sorted(pictures):
        folders = [part.lower() for part in PurePosixPath(name).parts[:-1]]
        split = next((part for part in folders if part in SPLIT_FOLDERS), ONE_SPLIT)
        splits.setdefault(split, []).append(name)
    return {split: tuple(names) for split, names in sorted(splits.items())}


def is_split_folder(name: str) -> bool:
    """Returns whether a file is in a folder that is called as a split.

    Args:
        name: of the file, with forward slashes.
    """
    return any(part.lower() in SPLIT_FOLDERS for part in PurePosixPath(name).parts[:-1])


def split_names(texts: Iterable[str]) -> list[str]:
    """Returns names for splits that serve as names of files and in `SET:SPLIT`, all different.

    Args:
        texts: what they are called, such as the names of lists.
    """
    names: list[str] = []
    for text in texts:
        plain = re.sub(r"[^\w.-]+", "_", text)[:MAX_SPLIT_NAME].strip("._") or ONE_SPLIT
        name = f"{plain}_split" if plain.endswith(RESERVED_END) else plain
        number = 2
        while name.casefold() in (other.casefold() for other in names):
            name = f"{plain}_{number}"
            number += 1
        names.append(name)
    return names
