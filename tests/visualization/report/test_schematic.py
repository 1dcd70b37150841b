"""Boxes as SVG: places, kinds, the order of the lines, and the outline without boxes."""

import re

import numpy as np
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st

from acnet.visualization.report.schematic import KINDS, box_path, photo_svg

NONE = np.zeros((0, 4))


def draw(picture=None, **boxes_xyxy):
    boxes = {kind: boxes_xyxy.get(kind, NONE) for kind in KINDS}
    return ElementTree.fromstring(photo_svg((300, 400), boxes, alt="Photo <1>", picture=picture))


def test_path_goes_around_each_box():
    boxes = np.array([[10, 20, 30, 60], [1.26, 2, 3, 4.04]])
    assert box_path(boxes) == "M10 20H30V60H10ZM1.3 2H3V4H1.3Z"


def test_units_are_pixels_of_the_photo():
    svg = draw(found=np.array([[10, 20, 30, 60]]))
    frame, path = svg
    assert svg.get("viewBox") == "0 0 400 300"  # width before height
    assert svg.get("aria-label") == "Photo <1>"
    assert (frame.get("width"), frame.get("height")) == ("400", "300")
    assert (path.get("class"), path.get("d")) == ("box found", "M10 20H30V60H10Z")


def test_errors_lie_on_top_of_what_was_found():
    one = np.array([[0, 0, 9, 9]])
    svg = draw(missed=one, truth=one, false=one, found=one)
    assert [path.get("class").split()[1] for path in svg.iter("path")] == list(KINDS)
    assert KINDS.index("truth") < KINDS.index("found") < KINDS.index("missed")


def test_photo_without_boxes_is_its_outline():
    assert [element.tag for element in draw()] == ["rect"]


def test_picture_lies_below_rims_and_lines():
    one = np.array([[0, 0, 9, 9]])
    svg = draw(picture="data:image/jpeg;base64,AAAA", found=one, missed=one)
    classes = [element.get("class") for element in svg]
    assert svg[0].tag == "image"
    assert classes[1:] == ["rim", "rim", "box found", "box missed"]


@given(st.lists(st.tuples(*[st.floats(-50, 5000)] * 4), min_size=1, max_size=5))
def test_path_reads_back_as_the_boxes(boxes):
    numbers = re.findall(r"M(\S+) (\S+?)H(\S+?)V(\S+?)H(\S+?)Z", box_path(np.array(boxes)))
    read = np.array(numbers, dtype=float)
    assert read[:, :4] == pytest.approx(np.array(boxes), abs=0.051)
    assert (read[:, 4] == read[:, 0]).all()
