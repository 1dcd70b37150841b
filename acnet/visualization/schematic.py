"""Boxes on the blank outline of a photo: where lesions are, without showing whose."""

import numpy as np

from acnet.visualization.palette import DARK, LIGHT
from acnet.visualization.svg import box_path


def schematic_svg(image_hw: tuple[int, int], boxes_xyxy: np.ndarray) -> str:
    """Draw boxes as a picture of its own, light or dark as the reader's screen is.

    Args:
        image_hw: Height and width of the photo in pixels, which are the units of the drawing.
        boxes_xyxy: (N, 4).

    Returns:
        An SVG file's text, without any pixel of the photo.
    """
    height, width = image_hw
    style = (
        f"rect{{fill:{LIGHT['shade']};stroke:{LIGHT['muted']}}}path{{stroke:{LIGHT['found']}}}"
        "rect,path{vector-effect:non-scaling-stroke}"
        f"@media(prefers-color-scheme:dark){{rect{{fill:{DARK['shade']};stroke:{DARK['muted']}}}"
        f"path{{stroke:{DARK['found']}}}}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">\n<style>{style}</style>\n'
        f'<rect width="{width}" height="{height}"/>\n'
        f'<path fill="none" stroke-width="1.5" d="{box_path(boxes_xyxy)}"/>\n</svg>\n'
    )
