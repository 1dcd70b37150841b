"""Figures by matplotlib as SVG that stands in an HTML page: small, deterministic, themable.

What matplotlib writes is a document of its own: with a style that would hold for the whole page,
with metadata, and with ids that the next figure has too. Here it becomes an element of the page.
"""

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from acnet.visualization.palette import LIGHT, with_variables

WIDTH_PX = 380  # in CSS pixels of the figure's own: a phone shows it without scaling
POINTS_PER_INCH = 72  # matplotlib's SVG has one unit a point
HREF = "{http://www.w3.org/1999/xlink}href"
STYLE = {
    "svg.fonttype": "none",  # text as text: it is read out, copied and drawn in the page's font
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.edgecolor": LIGHT["rule"],
    "axes.facecolor": "none",
    "axes.labelcolor": LIGHT["muted"],
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": LIGHT["rule"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["rule"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.color": LIGHT["rule"],
    "ytick.labelcolor": LIGHT["muted"],
    "savefig.dpi": 160,  # of the parts that are drawn as pixels because they are too many
}


def svg_figure(
    name: str, draw: Callable[..., None], *values: object, alt: str, height_px: int = 290
) -> Markup:
    """Draw a figure as an SVG element.

    Args:
        name: Of the figure; its ids derive from it, so no two figures of a page may share one.
        draw: Called with an empty `Figure` and `values`.
        *values: What is drawn.
        alt: What the figure shows, for readers who do not see it.
        height_px: Of the figure, whose width is 380.

    Returns:
        An `<svg>` element in colours of the page, the same bytes for the same values.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        size = (WIDTH_PX / POINTS_PER_INCH, height_px / POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, *values)
        figure.savefig(buffer, format="svg")
    root = ElementTree.fromstring(buffer.getvalue())
    _make_part_of_page(root)
    root.attrib = {
        "class": "plot",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": alt,
    }
    return Markup(with_variables(ElementTree.tostring(root, encoding="unicode")))


def _make_part_of_page(root: ElementTree.Element) -> None:
    """Drop what belongs to a document, and the names that nothing refers to."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    used = {name for names in used for name in names}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        element.text = element.text and element.text.strip()
        if HREF in element.attrib:
            element.attrib["href"] = element.attrib.pop(HREF)
        if element.attrib.get("id") not in used:
            element.attrib.pop("id", None)
        if "d" in element.attrib:
            element.attrib["d"] = " ".join(element.attrib["d"].split())
        if "style" in element.attrib:
            element.attrib["style"] = re.sub(r" ?font-family: [^;]+;?", "", element.attrib["style"])
    _unwrap_groups(root)


def _unwrap_groups(parent: ElementTree.Element) -> None:
    """Replace each group without attributes by its children."""
    children = []
    for child in parent:
        _unwrap_groups(child)
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = children
