"""Splits that show in the names of folders."""

from collections.abc import Iterable
from pathlib import PurePosixPath

SPLIT_FOLDERS = ("train", "valid", "val", "validation", "test")
ONE_SPLIT = "all"


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
