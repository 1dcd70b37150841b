"""The report's colours, one meaning each in every figure, in a light and a dark version.

Found, false and missed are blue, ochre and red of Tol's "medium contrast" scheme, whose dark and
light versions are told apart by readers who see few colours, and in grey as well. A figure is drawn
in the light version, and each of its colours then becomes a variable of its style, which follows
the reader's setting.

Reference: P. Tol, "Colour Schemes", SRON/EPS/TN/09-002, 2021, section 2.
"""

from collections.abc import Mapping

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
# from found in lightness, for readers without green cones (tests/templates/test_palette.py).
ON_PHOTO = {
    "muted": "#ffffff",
    "found": "#5ad1ff",
    "false": "#ffe03b",
    "missed": "#f800b8",
}


def variables(colors: Mapping[str, str]) -> str:
    """Declare colours as variables of a style."""
    return "".join(f"--{name}:{color};" for name, color in colors.items())


def with_variables(text: str) -> str:
    """Replace the light colours by the style's variables.

    Args:
        text: Of a figure, with colours as #rrggbb in small letters.

    Returns:
        The text with `var(--NAME)` in place of each colour of `LIGHT`.
    """
    for name, color in LIGHT.items():
        text = text.replace(color, f"var(--{name})")
    return text
