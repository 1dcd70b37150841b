"""Results in order, whatever the number of threads; errors arrive."""

import time

import pytest

from acnet.data.parallel import default_workers, map_photos
from acnet.errors import UnreadableFileError


def square(value: int) -> int:
    if value < 0:
        raise UnreadableFileError(f"Received {value}.")
    return value * value


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order(workers):
    items = list(range(20))
    found = map_photos(square, items, workers=workers, description="squaring")
    assert list(found) == [value * value for value in items]
    assert list(map_photos(square, [], workers=workers, description="squaring")) == []
    assert default_workers() >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_arrives(workers):
    with pytest.raises(UnreadableFileError, match="Received -1"):
        list(map_photos(square, [1, -1, 2], workers=workers, description="squaring"))


def test_an_error_in_a_thread_abandons_the_rest():
    done = []

    def work(item):
        if item == 0:
            raise KeyError(item)
        time.sleep(0.02)
        done.append(item)

    with pytest.raises(KeyError):
        list(map_photos(work, range(200), workers=2, description="testing"))
    assert len(done) < 200
