"""The pictures of one photo: with its boxes, small for the page, with its saliency; or to share.

kind         where                     what
picture      pictures/STEM.jpg         the photo with its boxes
photo        photos/STEM.jpg           the photo alone, over which the page draws boxes
thumbnail    thumbnails/STEM.jpg       the same, small
attention    attention/STEM.jpg        the photo with its saliency
schematic    schematics/STEM.svg       the boxes alone, on the photo's outline
crops        crops/STEM.jpg            the counted lesions alone

The last two take the place of the others where results are to be shared.
"""

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, PngImagePlugin

from acnet.files import write_bytes, write_text
from acnet.photos.decode import resize, scale
from acnet.templates import DARK, LIGHT

# It does not occur in skin, and differs from it in brightness too, for readers who see few colours.
PREDICTION_COLOR = (0.0, 0.9, 1.0)
RIM_PX, RIM_OPACITY = 0.75, 0.4  # of shade on both sides of a line, so that any skin shows it
MOST_LABELLED = 20  # boxes; more labels than this hide the lesions beside them
JPEG_QUALITY = 92
# NOT IN PAPER: larger photos are drawn smaller, since matplotlib needs 25 bytes for each pixel.
MAX_PICTURE_PIXELS = 16_000_000
CRISP_SIDE = 960  # px: photos whose long side is much shorter are enlarged, for crisp lines
MAX_PICTURE_SIDE = 16_000  # px: a JPEG's own limit is 65,500, matplotlib's and browsers' are less
SHOWS_FACES = ("pictures", "photos", "thumbnails", "attention")
PICTURE_FOLDERS = (*SHOWS_FACES, "schematics", "crops")
# In the head of each picture, by which a later run knows that it may replace or remove it.
PICTURE_MARK = "made by acnet"
THUMBNAIL_PX = 480
CROP_PX, CROP_GAP_PX = 96, 4
COLUMNS = 8
CONTEXT = 0.25  # of the box's side, on each side of it
# NOT IN PAPER: a larger box may hold an eye or a mouth, by which people are recognized, so it is
# left out. A lesion is a few percent of a face's width.
LARGEST_SHARE = 0.125  # of the photo's shorter side, with the skin around it
MOST_CROPS = 64  # hundreds of them could be pieced together


@dataclass(frozen=True, kw_only=True)
class DrawingOptions:
    """What the user may choose about the pictures."""

    labels: str = "auto"  # at the boxes: "always", "never", or "auto", where boxes are few
    suffix: str = ".jpg"  # or ".png"
    attention: bool = False  # also draw the mask attention's saliency
    share: bool = False  # draw lesions and a schematic instead of photos


class DrawBoxes(Protocol):
    """Draw boxes on a photo: `visualization.lesion_visualizer` does, or `photos.box_painter`."""

    def __call__(
        self, photo_rgb: np.ndarray, boxes_xyxy: np.ndarray, labels: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return the picture (H, W, 3) uint8, enlarged where the photo (H, W, 3) uint8 is small.

        Boxes are (N, 4) in the photo's pixels; labels are what is written at each.
        """


def write_pictures(
    folder: Path,
    stem: str,
    photo_bgr: np.ndarray,
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    options: DrawingOptions,
    score_threshold: float,
    class_names: Sequence[str],
    draw_boxes: DrawBoxes,
    probabilities: np.ndarray | None = None,
    saliency: np.ndarray | None = None,
) -> dict[str, str]:
    """Draw what was found in a photo, and return where each picture is in the folder, by kind.

    Args:
        folder, stem: Of all results, and of the pictures' names.
        photo_bgr: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) in pixels of the photo; with scores, indices of classes, and
            probabilities that are written at the boxes instead of the scores (N,).
        score_threshold: Lowest score that is drawn, 0 to 1.
        saliency: Over the same field of view in [0, 1], where `attention` is asked for.
    """
    best = np.argsort(-scores, kind="stable")
    best = best[scores[best] >= score_threshold]
    scores = (scores if probabilities is None else probabilities)[best]
    boxes_xyxy, classes = boxes_xyxy[best], classes[best]
    files = picture_files(stem, options)
    if options.share:
        write_text(folder / files["schematic"], schematic_svg(photo_bgr.shape[:2], boxes_xyxy))
        crops = lesion_crops(photo_bgr, boxes_xyxy)
        if crops is None:
            del files["crops"]
        else:
            save_picture(folder / files["crops"], np.ascontiguousarray(crops[:, :, ::-1]))
        return files
    photo_rgb, shrink = limited(photo_bgr)
    boxes_xyxy = boxes_xyxy * np.float32(shrink)
    labels = _labels(options.labels, scores, classes, class_names)
    picture = draw_boxes(photo_rgb, boxes_xyxy, labels)
    save_picture(folder / files["picture"], picture)
    save_picture(folder / files["photo"], photo_rgb)
    save_picture(folder / files["thumbnail"], thumbnail(photo_rgb))
    if saliency is not None:
        save_picture(folder / files["attention"], draw_saliency(photo_rgb, saliency))
    return files


def _labels(
    wanted: str, scores: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> list[str] | None:
    """Return what is written at each box: its score, behind its class where there are several."""
    if wanted == "never" or (wanted == "auto" and len(scores) > MOST_LABELLED):
        return None
    numbers = [f"{score:.2f}" for score in scores.tolist()]
    if len(class_names) == 1:
        return numbers
    pairs = zip(classes.tolist(), numbers, strict=True)
    return [f"{class_names[index]} {number}" for index, number in pairs]


def widest_line(picture_hw: tuple[int, int]) -> float:
    """Return the width in pixels of the lines around large boxes of a picture."""
    return max(1.0, np.hypot(*picture_hw) / 900)


def line_width(box_xyxy: np.ndarray, widest_px: float) -> float:
    """Return the width of a box's line: one that is wider would hide half of a small lesion."""
    x0, y0, x1, y1 = box_xyxy
    return float(np.clip(min(x1 - x0, y1 - y0) / 10, 1.0, widest_px))


def picture_files(stem: str, options: DrawingOptions) -> dict[str, str]:
    """Return where a photo's pictures go in the folder of all results, by kind."""
    if options.share:
        return {"schematic": f"schematics/{stem}.svg", "crops": f"crops/{stem}{options.suffix}"}
    files = {
        "picture": f"pictures/{stem}{options.suffix}",
        "photo": f"photos/{stem}.jpg",
        "thumbnail": f"thumbnails/{stem}.jpg",
        "attention": f"attention/{stem}{options.suffix}",
    }
    return files if options.attention else dict(itertools.islice(files.items(), 3))


def save_picture(path: Path, picture_rgb: np.ndarray) -> None:
    """Write a picture atomically, as .jpg or .png, by `encode_picture`."""
    write_bytes(path, encode_picture(picture_rgb, path.suffix))


def encode_picture(picture_rgb: np.ndarray, suffix: str = ".jpg") -> bytes:
    """Return a picture's file, .jpg or .png, with its pixels, the mark and nothing else.

    Raises:
        ValueError: The format does not take a picture of this size.
    """
    content, about = io.BytesIO(), PngImagePlugin.PngInfo()
    about.add(b"acNT", PICTURE_MARK.encode())  # private, and not to be copied by who changes it
    segment = b"\xff\xef" + (len(PICTURE_MARK) + 2).to_bytes(2, "big") + PICTURE_MARK.encode()
    image_format = "PNG" if suffix == ".png" else "JPEG"
    # subsampling=0: the chroma of thin lines is not blurred.
    options = {"quality": JPEG_QUALITY, "subsampling": 0, "extra": segment}
    try:
        Image.fromarray(picture_rgb).save(content, image_format, pnginfo=about, **options)
    except OSError as error:  # of the encoder: what the disk has to say comes from below
        raise ValueError(f"{image_format} takes no picture of {picture_rgb.shape}") from error
    return content.getvalue()


def limited(photo_bgr: np.ndarray) -> tuple[np.ndarray, float]:
    """Turn BGR into RGB, and shrink a photo that is too large to be drawn on, by that factor."""
    photo_rgb = np.ascontiguousarray(photo_bgr[:, :, ::-1])
    height, width = photo_rgb.shape[:2]
    shrink = min(1.0, (MAX_PICTURE_PIXELS / (height * width)) ** 0.5)
    shrink = min(shrink, MAX_PICTURE_SIDE / max(height, width))
    return (photo_rgb, 1.0) if shrink == 1 else (scale(photo_rgb, shrink), shrink)


def thumbnail(photo_rgb: np.ndarray) -> np.ndarray:
    """Shrink a photo to what a page of many shows."""
    return scale(photo_rgb, min(1.0, THUMBNAIL_PX / max(photo_rgb.shape[:2])))


def enlarge_small(photo_rgb: np.ndarray) -> tuple[np.ndarray, int]:
    """Enlarge a small photo by an integer factor, so that thin lines on it look thin.

    The factor stands beside the photo; it is 1 where the photo is large enough.
    """
    factor = max(1, round(CRISP_SIDE / max(photo_rgb.shape[:2])))
    if factor == 1:
        return photo_rgb, 1
    height, width = photo_rgb.shape[:2]
    size_wh = (factor * width, factor * height)
    return np.array(Image.fromarray(photo_rgb).resize(size_wh, Image.Resampling.BICUBIC)), factor


def draw_saliency(
    photo_rgb: np.ndarray, saliency: np.ndarray, *, opacity: float = 0.6
) -> np.ndarray:
    """Lay the mask attention's saliency over the photo, the more opaque the more salient.

    Regions of saliency 0 show the photo itself, so that what the model ignores stays visible. The
    picture (H, W, 3) uint8 is an integer factor larger where the photo is small.

    Args:
        saliency: (H, W) or any coarser grid over the same field of view, in [0, 1]: the sigmoid of
            the attention's logits (paper, III-C.1).
        opacity: Share of the colour where the saliency is 1, 0 to 1.
    """
    import cv2
    import matplotlib

    picture, _ = enlarge_small(photo_rgb)
    height, width = picture.shape[:2]
    full = cv2.resize(
        saliency.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    ).clip(0, 1)
    colors = matplotlib.colormaps["viridis"](full)[..., :3] * 255
    share = opacity * full[..., None]
    return (picture * (1 - share) + colors * share).round().astype(np.uint8)


def schematic_svg(image_hw: tuple[int, int], boxes_xyxy: np.ndarray) -> str:
    """Draw (N, 4) boxes on the blank outline of a photo: where lesions are, without showing whose.

    The SVG file's units are the photo's pixels. It is light or dark as the reader's screen is.
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
        f'width="{width}" height="{height}">\n<!-- {PICTURE_MARK} --><style>{style}</style>\n'
        f'<rect width="{width}" height="{height}"/>\n'
        f'<path fill="none" stroke-width="1.5" d="{box_path(boxes_xyxy)}"/>\n</svg>\n'
    )


def box_path(boxes_xyxy: np.ndarray) -> str:
    """Write (N, 4) boxes as the data of one SVG path of rectangles, to a tenth of a pixel."""
    corners = np.asarray(boxes_xyxy, dtype=np.float64).round(1) + 0.0  # -0.0 becomes 0.0
    return "".join(f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}Z" for x0, y0, x1, y1 in corners)


def lesion_crops(photo_bgr: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray | None:
    """Cut lesions out of a photo, in the order of the boxes, wherever they were.

    Of (N, 4) boxes the first `MOST_CROPS` that may be shown are, as small squares on one white
    sheet (h, w, 3) uint8; None where no box is small enough to be shown.
    """
    crops = list(itertools.islice(_crops(photo_bgr, boxes_xyxy), MOST_CROPS))
    if not crops:
        return None
    columns, step = min(COLUMNS, len(crops)), CROP_PX + CROP_GAP_PX
    rows = -(-len(crops) // columns)
    sheet = np.full((rows * step + CROP_GAP_PX, columns * step + CROP_GAP_PX, 3), 255, np.uint8)
    for index, crop in enumerate(crops):
        top, left = (CROP_GAP_PX + place * step for place in divmod(index, columns))
        sheet[top : top + CROP_PX, left : left + CROP_PX] = crop
    return sheet


def _crops(photo_bgr: np.ndarray, boxes_xyxy: np.ndarray) -> Iterator[np.ndarray]:
    image_wh = np.array(photo_bgr.shape[1::-1])
    for box in np.asarray(boxes_xyxy, dtype=np.float64):
        side = (box[2:] - box[:2]).max()
        if side > LARGEST_SHARE * image_wh.min():
            continue
        most_px = max(1, int(LARGEST_SHARE * image_wh.min()))
        window_px = min(max(1, round(side * (1 + 2 * CONTEXT))), most_px)
        corner = (box[:2] + box[2:] - window_px) / 2  # moved inward where the photo ends
        left, top = corner.round().astype(int).clip(0, image_wh - window_px)
        window = np.ascontiguousarray(photo_bgr[top : top + window_px, left : left + window_px])
        yield resize(window, (CROP_PX, CROP_PX))
