"""What passes between host and device, and functions that take turns."""

import numpy as np
import pytest
import torch

from acnet.layers.host import Fetched, begin_for_each_image, finish, sent_along, take_turns


def test_values_go_there_and_back():
    numbers = torch.arange(6.0).reshape(2, 3)
    assert np.array_equal(Fetched(numbers).numpy(), numbers)
    assert sent_along([1, 2], numbers).dtype == torch.float32
    assert sent_along(np.array([1, 2]), numbers).dtype == torch.int64


@pytest.mark.parametrize("count", [1, 3])
def test_each_image_has_its_result_in_order_and_its_error(count):
    divisors = Fetched(torch.tensor([2, 0]))
    results = begin_for_each_image(
        lambda values, one, which: one // int(values[which]),
        divisors,
        range(7, 7 + count),
        [0] * count,
    )
    assert results() == [(7 + one) // 2 for one in range(count)]
    with pytest.raises(ZeroDivisionError):
        begin_for_each_image(lambda values, one: one // int(values[1]), divisors, range(count))()


def test_turns_go_round_until_the_last_returns():
    seen = []

    def work(name: str, steps: int):
        for step in range(steps):
            seen.append(f"{name}{step}")
            yield
        return name.upper()

    assert take_turns([work("a", 2), work("b", 3), work("c", 0)]) == ["A", "B", "C"]
    assert seen == ["a0", "b0", "a1", "b1", "b2"]
    assert finish(work("d", 1)) == "D"
