"""The pictures of one photo: with its boxes, small for the page, with its saliency; or to share.

kind         where                     what
picture      pictures/STEM.jpg         the photo with its boxes
thumbnail    thumbnails/STEM.jpg       the same, small
attention    attention/STEM.jpg        the photo with its saliency
schematic    schematics/STEM.svg       the boxes alone, on the photo's outline
crops        crops/STEM.jpg            the counted lesions alone

The last two take the place of the others where results are to be shared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from acnet.files import atomic_write, write_text
from acnet.inference.results import instances_of
from acnet.visualization.attention_maps import draw_saliency
from acnet.visualization.boxes import above_threshold, draw_predictions
from acnet.visualization.lesion_crops import lesion_crops
from acnet.visualization.schematic import schematic_svg
from acnet.visualization.thumbnail import draw_thumbnail

JPEG_QUALITY = 92
# NOT IN PAPER: larger photos are drawn smaller, since matplotlib needs 25 bytes for each pixel.
MAX_PICTURE_PIXELS = 16_000_000
SHOWS_FACES = ("pictures", "thumbnails", "attention")


@dataclass(frozen=True, kw_only=True)
class DrawingOptions:
    """What the user may choose about the pictures.

    Args:
        score_threshold: Lowest score that is drawn, 0 to 1.
        labels: Scores at the boxes: "auto", "always" or "never".
        suffix: ".jpg" or ".png".
        attention: Also draw the mask attention's saliency.
        share: Draw lesions and a schematic instead of photos.
    """

    score_threshold: float = 0.5
    labels: str = "auto"
    suffix: str = ".jpg"
    attention: bool = False
    share: bool = False


def write_pictures(
    folder: Path,
    stem: str,
    photo_bgr: np.ndarray,
    rows: Sequence[Mapping],
    *,
    options: DrawingOptions,
    class_names: list[str],
    saliency: np.ndarray | None = None,
) -> dict[str, str]:
    """Draw what was found in a photo.

    Args:
        folder: Of all results.
        stem: Of the pictures' names.
        photo_bgr: (H, W, 3) uint8.
        rows: Its detections as COCO results.
        options: What to draw.
        class_names: By class index.
        saliency: Over the same field of view in [0, 1], where `attention` is asked for.

    Returns:
        The path of each picture in the folder, by kind.
    """
    if options.share:
        return _write_shareable(folder, stem, photo_bgr, rows, options)
    photo_rgb, shrink = _limit(np.ascontiguousarray(photo_bgr[:, :, ::-1]))
    instances = instances_of(rows, photo_rgb.shape[:2])
    instances.pred_boxes.scale(shrink, shrink)
    picture = draw_predictions(
        photo_rgb,
        instances,
        score_threshold=options.score_threshold,
        labels=options.labels,
        class_names=class_names,
    )
    files = {
        "picture": f"pictures/{stem}{options.suffix}",
        "thumbnail": f"thumbnails/{stem}.jpg",
    }
    save_picture(folder / files["picture"], picture)
    drawn = above_threshold(instances, options.score_threshold)
    thumbnail = draw_thumbnail(photo_rgb, drawn.pred_boxes.tensor.numpy())
    save_picture(folder / files["thumbnail"], thumbnail)
    if saliency is not None:
        files["attention"] = f"attention/{stem}{options.suffix}"
        save_picture(folder / files["attention"], draw_saliency(photo_rgb, saliency))
    return files


def save_picture(path: Path, picture_rgb: np.ndarray) -> None:
    """Write a picture atomically, with its pixels and nothing else.

    Args:
        path: Its suffix, .jpg or .png, decides the format.
        picture_rgb: (H, W, 3) uint8.
    """
    with atomic_write(path) as temporary:
        # subsampling=0: the chroma of thin lines is not blurred. PNG ignores both.
        Image.fromarray(picture_rgb).save(temporary, quality=JPEG_QUALITY, subsampling=0)


def _write_shareable(
    folder: Path,
    stem: str,
    photo_bgr: np.ndarray,
    rows: Sequence[Mapping],
    options: DrawingOptions,
) -> dict[str, str]:
    image_hw = photo_bgr.shape[:2]
    counted = above_threshold(instances_of(rows, image_hw), options.score_threshold)
    boxes_xyxy = counted.pred_boxes.tensor.numpy()
    files = {"schematic": f"schematics/{stem}.svg"}
    write_text(folder / files["schematic"], schematic_svg(image_hw, boxes_xyxy))
    crops = lesion_crops(photo_bgr, boxes_xyxy)
    if crops is not None:
        files["crops"] = f"crops/{stem}{options.suffix}"
        save_picture(folder / files["crops"], np.ascontiguousarray(crops[:, :, ::-1]))
    return files


def _limit(photo_rgb: np.ndarray) -> tuple[np.ndarray, float]:
    """Shrink a photo that is too large to be drawn on; returns it with the factor."""
    height, width = photo_rgb.shape[:2]
    shrink = min(1.0, (MAX_PICTURE_PIXELS / (height * width)) ** 0.5)
    if shrink == 1:
        return photo_rgb, 1.0
    size_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return cv2.resize(photo_rgb, size_wh, interpolation=cv2.INTER_AREA), shrink
