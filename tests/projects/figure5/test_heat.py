"""Saliency in colour and in numbers."""

import base64

import cv2
import numpy as np
import pytest

from acnet.visualization.figure5.heat import Contrast, contrast, heat_data_uri, legend_css


def pixels(uri: str) -> np.ndarray:
    """Decode a data URI as RGB."""
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), -1)[..., ::-1]


def test_one_scale_for_every_map():
    # viridis ends in #440154 and #fde725. A flat map keeps its place on the scale: nothing is
    # stretched to the map's own range.
    ends = pixels(heat_data_uri(np.array([[0.0, 1.0]])))
    assert ends.tolist() == [[[0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25]]]
    low, high = (pixels(heat_data_uri(np.full((2, 2), value))) for value in (0.2, 0.8))
    assert low[0, 0].astype(int).sum() < high[0, 0].astype(int).sum()
    assert legend_css().startswith("linear-gradient(to right, #440154, ")
    assert legend_css().endswith("#fde725)")


def test_a_large_map_becomes_small_and_keeps_its_shape():
    assert pixels(heat_data_uri(np.zeros((640, 320)))).shape == (320, 160, 3)
    assert pixels(heat_data_uri(np.zeros((3, 2000)))).shape == (1, 320, 3)


def test_contrast_by_hand():
    # A map of 2 x 4 over a photo of 20 x 40: a value for 10 x 10 pixels. The box from (10, 0) to
    # (30, 10) holds the centres of the second and third of the upper row: (0.8 + 0.6) / 2 = 0.7.
    # The other six: (0.1 + 0.1 + 4 * 0.4) / 6 = 0.3.
    saliency = np.array([[0.1, 0.8, 0.6, 0.1], [0.4, 0.4, 0.4, 0.4]])
    found = contrast(saliency, np.array([[10, 0, 30, 10]]), (20, 40))
    assert found.inside == pytest.approx(0.7)
    assert found.outside == pytest.approx(0.3)


def test_overlapping_boxes_count_once():
    saliency = np.array([[1.0, 0.0]])
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 20, 10]])
    assert contrast(saliency, boxes, (10, 20)) == Contrast(0.5, None)


def test_without_lesions_all_is_outside():
    assert contrast(np.full((2, 2), 0.25), np.zeros((0, 4)), (16, 16)) == Contrast(None, 0.25)
