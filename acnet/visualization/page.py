"""A page that shows tables and pictures from the disk, without a server or the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acnet.files import write_text
from acnet.visualization.templates import render


@dataclass(frozen=True)
class Picture:
    """A picture beside the page.

    Args:
        path: Relative to the page, with slashes.
        caption: What it shows; also read out where it cannot be seen.
    """

    path: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page; what is empty is left out.

    Args:
        title: Its heading.
        text: One paragraph.
        rows: Of a table: name and value.
        pictures: Below each other.
    """

    title: str
    text: str = ""
    rows: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = ()


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The HTML file.
        title: Of the page.
        sections: In order.
    """
    write_text(path, render("page.html.j2", title=title, sections=sections))
