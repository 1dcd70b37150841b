"""Hours, tiles and learning rates by hand."""

import pytest

from acnet.modeling.recipe import Card, Length, hours, linear_learning_rate

CARD = Card("a card", 12, 10.0, 40.0)


def test_tiles_and_iterations():
    # 10 photos of 100 tiles: 350 with boxes and a tenth of the other 650.
    length = Length(photos=10, tiles=100, epochs=3)
    assert length.epoch_tiles == 415
    assert length.iterations(4) == 312  # 1,245 / 4 = 311.25: the last batch is a whole one


def test_hours():
    # 18 photos of 100 tiles, all taken, in one epoch: 1,800 tiles of 1e13 MACs are 3.6e16 FLOP. At
    # half of 10 TFLOP/s: 7,200 s = 2 h; at 30 %: 3 h 20 min.
    length = Length(photos=18, tiles=100, boxes_share=1.0, epochs=1)
    assert hours(10**13, length, CARD, amp=False) == pytest.approx((2, 10 / 3))
    assert hours(10**13, length, CARD, amp=False, cards=2) == pytest.approx((1, 5 / 3))
    assert hours(10**13, length, CARD, amp=True) == pytest.approx((0.5, 5 / 6))


def test_the_learning_rate_follows_the_batch():
    assert linear_learning_rate(4, rate=0.02, of_batch=16) == pytest.approx(0.005)
    assert linear_learning_rate(4, rate=1e-4, of_batch=4) == 1e-4
