"""Boxes on photos, drawn by detectron2's Visualizer so thin that a lesion of 20 px stays visible.

Shape shorthand: (H, W, 3) is an RGB picture in uint8.
"""

import numpy as np
from detectron2.utils.visualizer import Visualizer
from matplotlib.patheffects import Normal, Stroke

from acnet.photos.draw import (
    PREDICTION_COLOR,
    RIM_OPACITY,
    RIM_PX,
    enlarge_small,
    line_width,
    widest_line,
)

POINTS_PER_INCH = 72


class BoxPainter(Visualizer):
    """detectron2's Visualizer with thin lines around the lesions and labels above them.

    Boxes are given in the photo's pixels, whatever the enlargement.
    """

    def __init__(self, photo_rgb: np.ndarray):
        picture, self.enlargement = enlarge_small(photo_rgb)
        super().__init__(picture)
        self.widest_line_px = widest_line((self.output.height, self.output.width))

    def paint(
        self,
        boxes_xyxy: np.ndarray,
        *,
        color: tuple[float, float, float],
        labels: list[str] | None = None,
    ) -> None:
        """Draw (N, 4) boxes in pixels of the photo in one colour, RGB from 0 to 1."""
        boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4) * self.enlargement
        self.overlay_instances(boxes=boxes, assigned_colors=[color] * len(boxes))
        for box, label in zip(boxes, labels or [], strict=labels is not None):
            self._draw_label(box, label, color)

    def draw_box(self, box_coord, alpha=0.9, edge_color="g", line_style="-"):
        """Draw one box as the Visualizer does, but with its line outside, and thin for small boxes.

        A line of the Visualizer's own width would hide half of a lesion of 20 px.
        """
        line_px = line_width(box_coord, self.widest_line_px)
        outside = np.array([-1, -1, 1, 1]) * (line_px / 2 + RIM_PX)
        output = super().draw_box(box_coord + outside, alpha, edge_color, line_style)
        points = POINTS_PER_INCH / output.dpi
        rim = Stroke(
            linewidth=(line_px + 2 * RIM_PX) * points, foreground="black", alpha=RIM_OPACITY
        )
        line = output.ax.patches[-1]
        line.set(linewidth=line_px * points, path_effects=[rim, Normal()])
        return output

    def picture(self) -> np.ndarray:
        """Return what was drawn, (H * enlargement, W * enlargement, 3).

        Only boxes and labels are drawn by matplotlib, which would resample the photo: most of the
        time that a large picture takes.
        """
        for photo in self.output.ax.images:
            photo.set_visible(False)
        self.output.canvas.draw()
        drawn = np.asarray(self.output.canvas.buffer_rgba())
        picture = self.img.copy()
        changed = drawn[..., 3] > 0
        opacity = drawn[changed, 3:] / np.float32(255)
        mixed = opacity * drawn[changed, :3] + (1 - opacity) * picture[changed]
        picture[changed] = np.rint(mixed)
        return picture

    def _draw_label(self, box_xyxy, label, color):
        """Write above the box, or below it where the picture ends."""
        x0, y0, _, y1 = box_xyxy
        size = self._default_font_size * 0.6
        text_height = 1.6 * size * self.output.dpi / POINTS_PER_INCH
        top = y0 - text_height if y0 >= text_height else y1 + self.widest_line_px
        self.draw_text(label, (x0, top), font_size=size, color=color, horizontal_alignment="left")


def draw_boxes(
    photo_rgb: np.ndarray, boxes_xyxy: np.ndarray, labels: list[str] | None = None
) -> np.ndarray:
    """Draw (N, 4) boxes in the photo's pixels, with a label at each where there are labels.

    The picture is an integer factor larger than the photo (H, W, 3) where that is small.
    """
    painter = BoxPainter(photo_rgb)
    painter.paint(boxes_xyxy, color=PREDICTION_COLOR, labels=labels)
    return painter.picture()
