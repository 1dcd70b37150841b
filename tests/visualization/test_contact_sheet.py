"""Pictures on a page: places, scaling, and the page without pictures."""

import numpy as np
import pytest

from acnet.visualization.contact_sheet import contact_sheet


def test_three_pictures_in_two_columns():
    # Cells of 10, gaps of 2: columns begin at 2 and 14, rows too; the page is 26 x 26.
    black = np.zeros((10, 10, 3), np.uint8)
    page = contact_sheet([black, black, black], columns=2, cell_px=10, gap_px=2)
    expected = np.full((26, 26, 3), 255, np.uint8)
    expected[2:12, 2:12] = 0
    expected[2:12, 14:24] = 0
    expected[14:24, 2:12] = 0
    np.testing.assert_array_equal(page, expected)


def test_wide_picture_is_fitted_and_centred():
    # 40 x 20 in a cell of 10 becomes 10 x 5, with (10 - 5) // 2 = 2 rows of white above.
    page = contact_sheet([np.zeros((20, 40, 3), np.uint8)], columns=1, cell_px=10, gap_px=0)
    assert np.nonzero((page == 0).all(axis=(1, 2)))[0].tolist() == [2, 3, 4, 5, 6]


def test_page_needs_a_picture():
    with pytest.raises(ValueError, match="Received 0 pictures"):
        contact_sheet([], columns=2)
