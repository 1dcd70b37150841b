"""The tables in Markdown, as a file of their own or inside a document."""

from pathlib import Path
from typing import TYPE_CHECKING

from acnet.errors import UserError
from acnet.files import write_text
from acnet.tables.contents import Cell, Table

if TYPE_CHECKING:
    from acnet.tables.report import Contents


def tables_markdown(contents: "Contents", *, level: int) -> str:
    """Write a page's contents in Markdown.

    Args:
        contents: of the page.
        level: of the title's heading; those of the tables are one deeper. From 2 on, the document
            around it has a title, and this one is left out.
    """
    deeper = "#" * (level + 1 if level == 1 else level)
    parts = [f"# {contents.title}"] if level == 1 else []
    parts.append("\n".join(f"- {name}: {value}" for name, value in contents.facts))
    parts += [_table_markdown(table, deeper) for table in contents.tables]
    if contents.picture:
        picture = f"![Loss and AP50 by iteration]({contents.picture})"
        parts.append(f"{deeper} Training curves\n\n{picture}")
    parts.append("\n\n".join(contents.notes))
    return "\n\n".join(parts) + "\n"


def write_between_markers(path: Path, marker: str, text: str) -> None:
    """Replace what stands between two lines of a document.

    Args:
        path: of the document; one that does not exist is made of the markers alone.
        marker: name in the lines `<!-- acnet tables NAME: begin -->` and `... end -->`.
        text: to stand between them.

    Raises:
        UserError: the document does not have each line once, in order.
    """
    begin, end = (f"<!-- acnet tables {marker}: {word} -->" for word in ("begin", "end"))
    content = path.read_text(encoding="utf-8") if path.is_file() else f"{begin}\n{end}\n"
    head, found_begin, rest = content.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end or begin in rest or end in tail:
        raise UserError(
            "The tables go between two lines of a document, so that the rest of it stays. Received "
            f"{path}, which does not have each of them once:\n{begin}\n{end}\nAdd them where the "
            "tables belong."
        )
    write_text(path, f"{head}{begin}\n\n{text}\n{end}{tail}")


def _table_markdown(table: Table, heading: str) -> str:
    marks = ["---:" if cell.is_number else "---" for cell in table.rows[0]]
    lines = [
        _line(table.header),
        _line(marks),
        *(_line([_cell(cell) for cell in row]) for row in table.rows),
    ]
    text = f"{table.text}\n\n" if table.text else ""
    return f"{heading} {table.title}\n\n{text}" + "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.strong else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"
