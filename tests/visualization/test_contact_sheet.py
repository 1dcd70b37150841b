"""Pictures on a page: places, scaling, and the page without pictures."""

import numpy as np
import pytest

from acnet.visualization.contact_sheet import contact_sheet


def test_three_pictures_in_two_columns():
    # Pictures of 10, gaps of 2: columns begin at 2 and 14, rows too; the page is 26 x 26.
    black = np.zeros((10, 10, 3), np.uint8)
    page = contact_sheet([black, black, black], columns=2, width_px=10, gap_px=2)
    expected = np.full((26, 26, 3), 255, np.uint8)
    expected[2:12, 2:12] = 0
    expected[2:12, 14:24] = 0
    expected[14:24, 2:12] = 0
    np.testing.assert_array_equal(page, expected)


def test_row_is_as_high_as_its_highest_picture():
    # 40 x 20 becomes 10 x 5; 10 x 10 stays: a first row of 10, a second of 5, 3 gaps of 2.
    wide, square = np.zeros((20, 40, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)
    page = contact_sheet([wide, square, wide], columns=2, width_px=10, gap_px=2)
    black = (page == 0).all(axis=2)
    assert page.shape == (21, 26, 3)
    assert np.nonzero(black[:, 5])[0].tolist() == [2, 3, 4, 5, 6, 14, 15, 16, 17, 18]
    assert np.nonzero(black[:, 15])[0].tolist() == list(range(2, 12))


def test_page_needs_a_picture():
    with pytest.raises(ValueError, match="Received 0 pictures"):
        contact_sheet([], columns=2)
