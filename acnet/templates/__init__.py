"""Templates of HTML pages that work from the disk and ask nobody for anything."""

import functools
from pathlib import Path

import jinja2

from acnet.templates.palette import DARK, LIGHT, ON_PHOTO


def render(name: str | Path, **values: object) -> str:
    """Fill a template.

    Args:
        name: Of a file in this folder, or the path of another one, which may extend those here.
        **values: Its variables; text is escaped, `Markup` is not.

    Returns:
        The page.

    Raises:
        jinja2.UndefinedError: The template uses a variable that is not among `values`.
    """
    colors = {"light": LIGHT, "dark": DARK, "on_photo": ON_PHOTO}
    if isinstance(name, Path):
        template = _environment().from_string(name.read_text(encoding="utf-8"))
    else:
        template = _environment().get_template(name)
    return template.render(**colors, **values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("acnet", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rounded"] = rounded
    return environment


def rounded(value: float, digits: int, plus: bool = False) -> str:
    """Write a number for people, with a true minus sign and commas at thousands.

    Args:
        value: Any number.
        digits: After the point.
        plus: Write the sign of positive numbers too.

    Returns:
        Such as "71.3", or "+0.52"; a negative number that rounds to 0 has no minus.
    """
    text = f"{round(value, digits) + 0.0:{'+' if plus else ''},.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")
