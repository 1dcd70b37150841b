"""The lesions of a photo without the photo: small cut-outs on one sheet."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np

from acnet.visualization.contact_sheet import contact_sheet

CROP_PX = 96
COLUMNS = 8
CONTEXT = 0.25  # of the box's side, on each side of it
# NOT IN PAPER: a larger box may hold an eye or a mouth, by which people are recognized, so it is
# left out. A lesion is a few percent of a face's width.
LARGEST_SHARE = 0.125  # of the photo's shorter side
MOST_CROPS = 64  # hundreds of them could be pieced together


def lesion_crops(photo_bgr: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray | None:
    """Cut lesions out of a photo.

    The sheet's order is that of the boxes and says nothing about where they were.

    Args:
        photo_bgr: (H, W, 3) uint8.
        boxes_xyxy: (N, 4), in pixels of the photo; the first 64 of those that may be shown are.

    Returns:
        One sheet (h, w, 3) of small squares; None where no box is small enough to be shown.
    """
    crops = list(itertools.islice(_crops(photo_bgr, boxes_xyxy), MOST_CROPS))
    if not crops:
        return None
    columns = min(COLUMNS, len(crops))
    return contact_sheet(crops, columns=columns, width_px=CROP_PX, gap_px=4)


def _crops(photo_bgr: np.ndarray, boxes_xyxy: np.ndarray) -> Iterator[np.ndarray]:
    image_wh = np.array(photo_bgr.shape[1::-1])
    for box in np.asarray(boxes_xyxy, dtype=np.float64):
        side = (box[2:] - box[:2]).max()
        if side > LARGEST_SHARE * image_wh.min():
            continue
        window_px = min(max(1, round(side * (1 + 2 * CONTEXT))), image_wh.min())
        corner = (box[:2] + box[2:] - window_px) / 2  # moved inward where the photo ends
        left, top = corner.round().astype(int).clip(0, image_wh - window_px)
        window = np.ascontiguousarray(photo_bgr[top : top + window_px, left : left + window_px])
        yield cv2.resize(window, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC)
