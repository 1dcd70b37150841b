"""Where a data set lies is nobody's business: reports are passed on, file names stay."""

from collections.abc import Sequence
from pathlib import Path

from acnet.data.readers.source import Source


def place_in_set(path: Path, source: Source) -> str:
    """Names a file of a data set without saying where the set lies.

    Args:
        path: the file.
        source: the set.

    Returns:
        The name below the folder of the pictures, or else with its last folder.
    """
    if path.is_relative_to(source.image_root):
        return path.relative_to(source.image_root).as_posix()
    return f"{path.parent.name}/{path.name}"


def folder_prefixes(source: Source) -> list[str]:
    """Lists all ways to write the folders of a data set, longest first.

    Args:
        source: the set.
    """
    folders = {path.parent for path in (*source.inputs, *source.unlisted)} | {source.image_root}
    folders |= {folder.absolute() for folder in folders} | {folder.resolve() for folder in folders}
    return sorted((f"{folder}/" for folder in folders), key=len, reverse=True)


def without_folders(text: str, prefixes: Sequence[str]) -> str:
    """Takes folders out of what a decoder or reader said.

    Args:
        text: may hold paths.
        prefixes: from `folder_prefixes`.
    """
    if "/" in text:
        for prefix in prefixes:
            text = text.replace(prefix, "")
    return text
