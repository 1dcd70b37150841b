"""Pictures for HTML pages: figures of matplotlib, boxes on photos, and photos as data URIs.

Kinds of boxes are told apart by colour and by line style, which the page's style sets by class:
`found` (a detection that matches a lesion, and under it that lesion, `truth`), `false` (a detection
that matches none) and `missed` (a lesion without a detection).
"""

import base64
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import cv2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from acnet.data.readers.safe_files import member
from acnet.errors import UserError
from acnet.photos.draw import box_path
from acnet.photos.read import read_bgr
from acnet.templates import DARK, LIGHT, variables, with_variables

WIDTH_PX = 380  # in CSS pixels of the figure's own: a phone shows it without scaling
POINTS_PER_INCH = 72  # matplotlib's SVG has one unit a point
SAFE_IN_URI = " /,;=()*+!-"
STYLE = {
    "svg.fonttype": "none",  # text as text, in a font of the reader's
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
    "path.simplify_threshold": 0.5,  # px, by which a long curve is made short
    "savefig.dpi": 160,  # of the parts that are drawn as pixels because they are too many
}
FIGURE_STYLE = (
    f"<style>:root{{{variables(LIGHT)}}}@media screen and (prefers-color-scheme:dark)"
    f"{{:root{{{variables(DARK)}}}image{{filter:brightness(2)}}}}</style>"
)
KINDS = ("truth", "found", "false", "missed")  # drawn in this order, so the errors lie on top
LONGEST_PX = 1000
JPEG_QUALITY = 82


def svg_figure(
    name: str, draw: Callable[..., None], *values: object, alt: str, height_px: int = 290
) -> Markup:
    """Draw a figure as an `<img>` with the SVG in it, light or dark as the reader's screen is.

    `draw` is called with an empty `Figure` and the values. The same values give the same bytes,
    since matplotlib derives ids from the name. `alt` is for readers who do not see the figure.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        size = (WIDTH_PX / POINTS_PER_INCH, height_px / POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, *values)
        figure.savefig(buffer, format="svg")
    needless = r"<!--.*?-->|<metadata>.*?</metadata>"
    text = re.sub(needless, "", buffer.getvalue(), flags=re.DOTALL)
    text = with_variables(" ".join(text.split()))  # URLs have no line breaks
    start, inside = text.index("<svg"), text.index(">", text.index("<svg")) + 1
    uri = quote(text[start:inside] + FIGURE_STYLE + text[inside:], safe=SAFE_IN_URI)
    return Markup(
        '<img class="plot" width="{}" height="{}" alt="{}" src="data:image/svg+xml,{}"/>'
    ).format(WIDTH_PX, height_px, alt, uri)


def photo_svg(
    image_hw: tuple[int, int],
    boxes_xyxy: Mapping[str, np.ndarray],
    *,
    alt: str,
    picture: str | None = None,
) -> Markup:
    """Draw a photo's (N, 4) boxes by kind as an `<svg>` in pixels of the photo, a path a kind.

    Below them lies the photo, whose data URI is the `picture`, or its outline. `alt` is for readers
    who do not see the drawing.
    """
    height, width = image_hw
    frame = Markup('<rect class="frame" width="{}" height="{}"/>').format(width, height)
    if picture is not None:
        frame = Markup('<image href="{}" width="{}" height="{}"/>').format(picture, width, height)
    paths = {kind: box_path(boxes_xyxy[kind]) for kind in KINDS if len(boxes_xyxy.get(kind, ()))}
    lines = [Markup('<path class="box {}" d="{}"/>').format(*item) for item in paths.items()]
    if picture is not None:  # a dark rim on both sides of each line, so that any skin shows it
        lines = [Markup('<path class="rim" d="{}"/>').format(d) for d in paths.values()] + lines
    return Markup(
        '<svg class="photo{}" viewBox="0 0 {} {}" preserveAspectRatio="xMinYMin" role="img" '
        'aria-label="{}">{}{}</svg>'
    ).format(" on-photo" if picture else "", width, height, alt, frame, Markup("").join(lines))


def photo_data_uri(photos_root: Path, file_name: str, image_hw: tuple[int, int]) -> str:
    """Read a photo and encode it anew, so that nothing of the file but its pixels is kept.

    It is named as in the ground truth, below the folder, and of the ground truth's size. The result
    is a JPEG as `data:` URI, its longer side at most 1000 px.

    Raises:
        UserError: There is no such photo in the folder, it is no picture, or its size is another.
    """
    path = member(photos_root, file_name)
    if not path.is_file():
        raise UserError(
            f"Photos to be shown must be in the folder that was given, {photos_root}. Received "
            f"{file_name!r}, which is not there; give the folder that the ground truth's file "
            "names start from, or leave the photos out."
        )
    photo_bgr = read_bgr(path)
    if photo_bgr.shape[:2] != tuple(image_hw):
        raise UserError(
            "Boxes are drawn on the photo that they were annotated in, so its size must be that of "
            f"the ground truth, {image_hw[1]} x {image_hw[0]} px. Received {path.name} of "
            f"{photo_bgr.shape[1]} x {photo_bgr.shape[0]} px; give the folder of the photos that "
            "the ground truth was made for."
        )
    shrink = LONGEST_PX / max(image_hw)
    if shrink < 1:
        size_wh = tuple(max(1, round(side * shrink)) for side in reversed(image_hw))
        photo_bgr = cv2.resize(photo_bgr, size_wh, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", photo_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")
