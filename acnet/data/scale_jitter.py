"""Training crops over a wide range of scales, so that lesions may be of any size in the frame.

NOT IN PAPER: the paper trains on native tiles. Photos of strangers show a whole face or a cheek, on
300 or on 4,000 pixels, and a model that saw one scale finds lesions at that scale only.

Shape shorthand in this module:
    N: number of boxes
    A box is a row of five: x0, y0, x1, y1 in pixels of its picture, and its class.
"""

import itertools
import math
import random
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.data import transforms as T
from detectron2.structures import Boxes, BoxMode, Instances

from acnet.photos.read import read_bgr

USUAL_SCALES = (0.55, 1.3)
USUAL_SHARE = 0.6  # of the crops; the others are drawn from the whole range
AROUND_LESION_SHARE = 0.5  # of the crops of photos with lesions: few of a face's crops show any
SEAM_RANGE = (0.35, 0.65)  # where the four photos of a mosaic meet
LEAST_INSIDE = 0.4  # share of a box's area that is kept in a crop
LEAST_SIDE_PX = 2.0  # of a box

Crop = tuple[np.ndarray, np.ndarray]  # (h, w, 3) uint8 BGR, and (N, 5) float32 boxes


class ScaleJitterMapper:
    """Map records of whole photos to square crops, each at another scale, mirrored, in other light.

    The scale is that of the photo: 1 lets its longer side measure `photo_px`. Where the whole photo
    would be smaller than the crop, four photos at that scale make a mosaic, so that no crop is
    padded, and lesions that are small in the frame come in numbers, as on photos of whole faces.

    Args:
        dataset: Records that mosaics take their other three photos from.
        photo_px: Longer side of a photo at scale 1.

    Raises:
        ValueError: A mosaic of photos at the least scale would not fill a crop.
    """

    def __init__(
        self,
        *,
        dataset: list[dict],
        photo_px: int = 640,
        crop_px: int = 320,
        scales: tuple[float, float] = (0.33, 2.6),
        image_format: str = "BGR",
    ):
        if not dataset or scales[0] * photo_px < SEAM_RANGE[1] * crop_px or scales[0] > scales[1]:
            raise ValueError(
                "A mosaic of four photos fills a crop, so there are photos, and at the least scale "
                f"they measure at least {SEAM_RANGE[1]:.0%} of it. Received {len(dataset)} photos, "
                f"scales={tuple(scales)}, photo_px={photo_px} and crop_px={crop_px}; raise the "
                "least scale."
            )
        self._dataset = dataset
        self._photo_px = photo_px
        self._crop_px = crop_px
        self._scales = tuple(scales)
        self._image_format = image_format
        self._light = T.AugmentationList(
            [T.RandomBrightness(0.7, 1.3), T.RandomContrast(0.7, 1.3), T.RandomSaturation(0.5, 1.5)]
        )

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a model's input of `crop_px` by `crop_px`, with its `instances`.

        Raises:
            UnreadableFileError: A photo does not decode.
        """
        scale = self._draw_scale()
        if scale * self._photo_px >= self._crop_px:
            image, boxes = self._crop(record, scale, self._crop_px)
        else:
            image, boxes = self._mosaic(record, scale)
        lit = T.AugInput(image)
        self._light(lit)
        pixels = lit.image[:, :, ::-1] if self._image_format == "RGB" else lit.image
        boxes = boxes[(boxes[:, 2:4] - boxes[:, :2] > LEAST_SIDE_PX).all(axis=1)]
        instances = Instances(image.shape[:2])
        instances.gt_boxes = Boxes(torch.from_numpy(boxes[:, :4].copy()))
        instances.gt_classes = torch.from_numpy(boxes[:, 4].astype(np.int64))
        return {
            "file_name": record["file_name"],
            "image_id": record.get("image_id"),
            "height": self._crop_px,
            "width": self._crop_px,
            "image": torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
            "instances": instances,
        }

    def _draw_scale(self) -> float:
        if random.random() < USUAL_SHARE:
            return random.uniform(*np.clip(USUAL_SCALES, *self._scales))
        return math.exp(random.uniform(*map(math.log, self._scales)))

    def _mosaic(self, record: dict[str, Any], scale: float) -> Crop:
        """Lay crops of four photos around a point near the middle."""
        side = self._crop_px
        x, y = (round(random.uniform(*SEAM_RANGE) * side) for _ in range(2))
        image, boxes = np.empty((side, side, 3), np.uint8), []
        columns, rows = ((0, x), (x, side)), ((0, y), (y, side))
        for (top, bottom), (left, right) in itertools.product(rows, columns):
            width, height = right - left, bottom - top
            crop, inside = self._crop(record, scale, max(width, height))
            image[top:bottom, left:right] = crop[:height, :width]
            boxes.append(_cut(inside, (width, height)) + np.float32([left, top, left, top, 0]))
            record = random.choice(self._dataset)
        return image, np.concatenate(boxes)

    def _crop(self, record: dict[str, Any], scale: float, side: int) -> Crop:
        """Cut a square out of a photo, or fill up what the photo is too narrow for."""
        photo = read_bgr(record["file_name"])
        height, width = photo.shape[:2]
        scale *= self._photo_px / max(height, width)
        wanted = max(1, round(side / scale))
        cut_w, cut_h = min(width, wanted), min(height, wanted)
        boxes = _boxes_of(record)
        left, top = _place(boxes, (width, height), (cut_w, cut_h))
        out_w, out_h = max(1, round(cut_w * side / wanted)), max(1, round(cut_h * side / wanted))
        cut = photo[top : top + cut_h, left : left + cut_w]
        shrunk = cv2.resize(cut, (out_w, out_h), interpolation=_interpolation(scale))
        factors = np.float32([out_w / cut_w, out_h / cut_h] * 2 + [1])
        boxes = _cut((boxes - np.float32([left, top, left, top, 0])) * factors, (out_w, out_h))
        if random.random() < 0.5:
            shrunk = shrunk[:, ::-1]
            boxes[:, [0, 2]] = out_w - boxes[:, [2, 0]]
        image = np.empty((side, side, 3), np.uint8)
        image[:] = shrunk.mean(axis=(0, 1)).astype(np.uint8)
        image[:out_h, :out_w] = shrunk
        return image, boxes


def _boxes_of(record: dict[str, Any]) -> np.ndarray:
    rows = [
        [*BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS), one["category_id"]]
        for one in record.get("annotations", ())
        if not one.get("iscrowd", 0)
    ]
    return np.array(rows, np.float32).reshape(-1, 5)


def _place(
    boxes: np.ndarray, photo_wh: tuple[int, int], cut_wh: tuple[int, int]
) -> tuple[int, int]:
    """Choose the left and top of a cut: anywhere, or around one of the lesions."""
    if not len(boxes) or random.random() >= AROUND_LESION_SHARE:
        return tuple(
            random.randint(0, whole - cut) for whole, cut in zip(photo_wh, cut_wh, strict=True)
        )
    x0, y0, x1, y1, _ = random.choice(boxes)
    centre = ((x0 + x1) / 2, (y0 + y1) / 2)
    return tuple(
        int(np.clip(at + random.uniform(-0.4, 0.4) * cut - cut / 2, 0, whole - cut))
        for at, whole, cut in zip(centre, photo_wh, cut_wh, strict=True)
    )


def _interpolation(scale: float) -> int:
    """Draw one, since photos were resized by many programs before they came here."""
    if scale < 1:
        return random.choice([cv2.INTER_AREA, cv2.INTER_LINEAR])
    return random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])


def _cut(boxes: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Clip boxes to a crop, and keep those of which enough is inside."""
    clipped = boxes.clip(0, np.float32([*size_wh, *size_wh, np.inf]))
    area, inside = ((box[:, 2:4] - box[:, :2]).clip(0).prod(axis=1) for box in (boxes, clipped))
    return clipped[(inside > 0) & (inside >= LEAST_INSIDE * area)].astype(np.float32)
