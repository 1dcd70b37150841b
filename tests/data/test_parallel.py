"""Results in order, whatever the number of processes; errors arrive."""

import time

import pytest

from acnet.data.parallel import default_workers, in_threads, map_photos
from acnet.errors import UnreadableFileError


def square(value: int) -> int:
    if value < 0:
        raise UnreadableFileError(f"Received {value}.")
    return value * value


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order(workers):
    items = list(range(20))
    found = map_photos(square, items, workers=workers, description="squaring")
    assert found == [value * value for value in items]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_arrives(workers):
    with pytest.raises(UnreadableFileError, match="Received -1"):
        map_photos(square, [1, -1, 2], workers=workers, description="squaring")


def test_nothing_to_do(capsys):
    assert map_photos(square, [], workers=4, description="squaring") == []
    assert capsys.readouterr().out == ""  # progress goes to stderr


def test_there_is_a_core():
    assert default_workers() >= 1


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_every_result_once(workers):
    results = list(in_threads(abs, range(-5, 5), workers=workers, description="testing"))
    assert sorted(results) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert list(in_threads(abs, [], workers=workers, description="testing")) == []


def test_an_error_in_a_thread_abandons_the_rest():
    done = []

    def work(item):
        if item == 0:
            raise KeyError(item)
        time.sleep(0.02)
        done.append(item)

    with pytest.raises(KeyError):
        list(in_threads(work, range(200), workers=2, description="testing"))
    assert len(done) < 200
