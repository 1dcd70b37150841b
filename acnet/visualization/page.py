"""A page that shows tables and pictures from the disk, without a server or the network."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from acnet.data.files import write_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid #ddd; }
th { font-weight: normal; color: #555; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; }
figcaption { color: #555; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e6e6e6; }
  th, figcaption { color: #a8a8a8; }
  th, td { border-color: #3a3d42; }
}
"""


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
    body = "\n".join(_section_html(section) for section in sections)
    text = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )
    write_text(path, text)


def _section_html(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.rows:
        cells = (
            f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
            for name, value in section.rows
        )
        parts.append("<table>\n{}\n</table>".format("\n".join(cells)))
    parts += [_picture_html(picture) for picture in section.pictures]
    return "<section>\n{}\n</section>".format("\n".join(parts))


def _picture_html(picture: Picture) -> str:
    caption = html.escape(picture.caption)
    return (
        f'<figure><img src="{quote(picture.path)}" alt="{caption}" loading="lazy">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
