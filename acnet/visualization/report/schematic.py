"""A photo's boxes as SVG: on the outline of the photo, or on the photo itself.

Kinds of boxes are told apart by colour and by line style, which the page's style sets by class:
`found` (a detection that matches a lesion, and under it that lesion, `truth`), `false` (a detection
that matches none) and `missed` (a lesion without a detection).
"""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

KINDS = ("truth", "found", "false", "missed")  # drawn in this order, so the errors lie on top


def photo_svg(
    image_hw: tuple[int, int],
    boxes_xyxy: Mapping[str, np.ndarray],
    *,
    alt: str,
    picture: str | None = None,
) -> Markup:
    """Draw a photo's boxes, a path for each kind.

    Args:
        image_hw: Height and width of the photo in pixels, which are the units of the drawing.
        boxes_xyxy: (N, 4) in pixels of the photo, by kind; kinds may be missing.
        alt: What the drawing shows, for readers who do not see it.
        picture: Data URI of the photo to lay below the boxes; None for its outline alone.

    Returns:
        An `<svg>` element.
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


def box_path(boxes_xyxy: np.ndarray) -> str:
    """Write boxes as one SVG path of closed rectangles.

    Args:
        boxes_xyxy: (N, 4).

    Returns:
        The path's data, to a tenth of a pixel.
    """
    corners = np.asarray(boxes_xyxy, dtype=np.float64).round(1) + 0.0  # -0.0 becomes 0.0
    return "".join(f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z" for x0, y0, x1, y1 in corners)
