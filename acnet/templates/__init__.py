"""Templates of HTML pages that work from the disk and ask nobody for anything, and their colours.

A colour has one meaning in every figure, in a light and a dark version. Found, false and missed are
blue, ochre and red of Tol's "medium contrast" scheme, whose dark and light versions are told apart
by readers who see few colours, and in grey as well. A figure is drawn in the light version, and
each of its colours then becomes a variable of its style, which follows the reader's setting.

Reference: P. Tol, "Colour Schemes", SRON/EPS/TN/09-002, 2021, section 2.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import jinja2

LIGHT = {
    "ink": "#1d1f23",
    "muted": "#5c6169",
    "rule": "#d9dbdf",
    "shade": "#eef0f2",
    "page": "#fefefe",
    "found": "#004488",
    "false": "#997700",
    "missed": "#994455",
}
DARK = {
    "ink": "#e7e8ea",
    "muted": "#a4a9b1",
    "rule": "#3a3e45",
    "shade": "#23262b",
    "page": "#15171a",
    "found": "#6699cc",
    "false": "#eecc66",
    "missed": "#ee99aa",
}
# On skin the boxes are brighter, in hues that skin does not have; missed is deep enough to differ
# from found in lightness, for readers without green cones (tests/templates/test_colours.py).
ON_PHOTO = {"muted": "#ffffff", "found": "#5ad1ff", "false": "#ffe03b", "missed": "#f800b8"}


def render(name: str | Path, **values: object) -> str:
    """Fill a template, and return the page.

    Args:
        name: Of a file in this folder, or the path of another one, which may extend those here.
        **values: Its variables; text is escaped, `Markup` is not.

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
    """Write a number for people, such as "71.3" or, with `plus`, "+0.52".

    It has a true minus sign, none where it rounds to 0, and commas at thousands.
    """
    text = f"{round(value, digits) + 0.0:{'+' if plus else ''},.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def variables(colors: Mapping[str, str]) -> str:
    """Declare colours as variables of a style."""
    return "".join(f"--{name}:{color};" for name, color in colors.items())


def with_variables(text: str) -> str:
    """Put `var(--NAME)` in place of each colour of `LIGHT`, written #rrggbb in small letters."""
    for name, color in LIGHT.items():
        text = text.replace(color, f"var(--{name})")
    return text
