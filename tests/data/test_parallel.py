"""Results in order, whatever the number of processes; errors arrive."""

import pytest

from acnet.data.images import UnreadableFileError
from acnet.data.parallel import default_workers, map_photos


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
