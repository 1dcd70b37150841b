"""One XML file: VOC's pixel counting, missing corners and hostile content."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from acnet.data.readers.voc_xml import VocAnnotation, read_voc_xml
from acnet.errors import UnreadableFileError
from tests.data.samples import annotation_xml

BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><object><name>&b;</name></object></annotation>"""
FOREIGN_FILE = """<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>
<annotation><object><name>&secret;</name></object></annotation>"""


def write(tmp_path, text):
    path = tmp_path / "levle0_1.xml"
    path.write_text(text)
    return path


def test_pixels_count_from_one_and_the_last_is_included(tmp_path):
    # Pixels 1 to 10 of a row are the edges 0 to 10: ten pixels wide.
    objects = read_voc_xml(write(tmp_path, annotation_xml([("fore", (1, 3, 10, 20.5))]))).objects
    assert [found.name for found in objects] == ["fore"]
    assert_array_equal(objects[0].box_xyxy, [0, 2, 10, 20.5])


def test_missing_corners_and_words_become_nan(tmp_path):
    text = (
        "<annotation><object><name> fore </name></object><object>"
        "<bndbox><xmin>x</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"
    )
    first, second = read_voc_xml(write(tmp_path, text)).objects
    assert (first.name, second.name) == ("fore", "")
    assert np.isnan(first.box_xyxy).all()
    assert_array_equal(np.isnan(second.box_xyxy), [True, False, False, False])


def test_no_objects(tmp_path):
    assert read_voc_xml(write(tmp_path, "<annotation/>")) == VocAnnotation([], None)


@pytest.mark.parametrize("text", [BOMB, FOREIGN_FILE, "", "<annotation>", "\0\1", "<a>&nbsp;</a>"])
def test_hostile_and_broken_files_are_refused_by_name(tmp_path, text):
    with pytest.raises(UnreadableFileError, match=r"levle0_1\.xml.*intact copy\.$"):
        read_voc_xml(write(tmp_path, text))
