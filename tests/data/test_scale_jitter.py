"""Crops at many scales: boxes stay on what they box, and mosaics fill the crop."""

import random

import cv2
import numpy as np
import pytest
from detectron2.structures import BoxMode

from acnet.data.scale_jitter import ScaleJitterMapper

GREY, LESION = 90, 230


@pytest.fixture
def records(tmp_path):
    """Two photos of 400x300 with one bright square each, boxed exactly."""
    made = []
    for number, (left, top, side) in enumerate([(120, 80, 40), (300, 200, 60)]):
        image = np.full((300, 400, 3), GREY, np.uint8)
        image[top : top + side, left : left + side] = LESION
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), image)
        box = {"bbox": [left, top, side, side], "bbox_mode": BoxMode.XYWH_ABS}
        box["category_id"] = number
        made.append({"file_name": str(path), "image_id": number, "annotations": [box]})
    return made


@pytest.mark.parametrize("scales", [(1.0, 1.0), (2.6, 2.6), (0.4, 0.4), (0.4, 2.6)])
def test_boxes_stay_on_what_they_box(records, scales) -> None:
    mapper = ScaleJitterMapper(dataset=records, photo_px=400, crop_px=200, scales=scales)
    mapper._light.augs.clear()  # so that the colours stay what they are
    random.seed(0)
    seen = 0
    for _ in range(40):
        mapped = mapper(records[0])
        image = mapped["image"].numpy().max(axis=0)
        assert image.shape == (200, 200)
        bright = image > (GREY + LESION) // 2
        for x0, y0, x1, y1 in mapped["instances"].gt_boxes.tensor.numpy():
            seen += 1
            assert bright[round(y0) : round(y1), round(x0) : round(x1)].mean() > 0.9
            top, left = max(0, round(y0 - 1.5)), max(0, round(x0 - 1.5))
            bright[top : round(y1 + 1.5), left : round(x1 + 1.5)] = False
        # What no box covers is at most the rest of a square that the crop's edge cut.
        assert bright.sum() < 0.5 * (60 * scales[1]) ** 2
    assert seen > 20


def test_small_photos_make_a_mosaic_without_padding(records) -> None:
    mapper = ScaleJitterMapper(dataset=records, photo_px=400, crop_px=320, scales=(0.6, 0.6))
    random.seed(1)
    found = [mapper(records[0])["instances"].gt_classes.tolist() for _ in range(30)]
    assert any({0, 1} <= set(classes) for classes in found)  # lesions of both photos


def test_a_photo_without_boxes_is_all_background(records) -> None:
    bare = {"file_name": records[0]["file_name"], "annotations": []}
    mapped = ScaleJitterMapper(dataset=[bare], photo_px=400, crop_px=200)(bare)
    assert mapped["instances"].gt_boxes.tensor.shape == (0, 4)


def test_colours_follow_the_format(tmp_path) -> None:
    path = tmp_path / "blue.png"
    cv2.imwrite(str(path), np.full((64, 64, 3), (200, 10, 10), np.uint8))
    record = {"file_name": str(path), "annotations": []}
    for image_format, channel in (("BGR", 0), ("RGB", 2)):
        mapper = ScaleJitterMapper(
            dataset=[record], photo_px=64, crop_px=32, scales=(1, 1), image_format=image_format
        )
        mapper._light.augs.clear()
        assert mapper(record)["image"].float().mean(dim=(1, 2)).argmax() == channel


@pytest.mark.parametrize(("dataset", "scales"), [([], (1, 1)), ([{}], (0.1, 1)), ([{}], (2, 1))])
def test_what_cannot_fill_a_crop_is_refused(dataset, scales) -> None:
    with pytest.raises(ValueError, match="mosaic"):
        ScaleJitterMapper(dataset=dataset, scales=scales)
