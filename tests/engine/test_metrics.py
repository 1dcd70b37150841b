"""metrics.json: strict JSON, one row a report; that a kill leaves no trace shows test_train.py."""

import json
import math
from pathlib import Path

import pytest
from detectron2.utils.events import EventStorage

from acnet.engine.metrics import MetricsFile, cut_metrics, read_metrics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.json"


def put(storage: EventStorage, iteration: int, **scalars: float) -> None:
    storage.iter = iteration
    storage.put_scalars(**scalars)


def test_a_row_holds_the_median_of_what_is_new_and_finite(path):
    file = MetricsFile(path)
    with EventStorage() as storage:
        put(storage, 0, loss=1.0, early=7.0, bad=math.nan, huge=math.inf)
        put(storage, 1, loss=3.0)
        put(storage, 2, loss=8.0)
        file.write()
        put(storage, 3, loss=5.0)
        file.write()
    # Medians over at most 20 iterations: of 1, 3, 8 and then of 1, 3, 8, 5, which is (3 + 5) / 2.
    # "early" came before the first row, so it is in it, and in no later one. JSON has no NaN.
    assert read_metrics(path) == [
        {"iteration": 2, "loss": 3.0, "early": 7.0},
        {"iteration": 3, "loss": 4.0},
    ]


def test_cut_keeps_what_will_not_be_written_again(path: Path):
    rows = [{"iteration": i, "loss": float(i)} for i in (4, 9, 14)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"iteration": 19, "lo')
    assert read_metrics(path) == rows
    assert cut_metrics(path, start_iter=10) == 9
    assert path.read_text() == "".join(json.dumps(row) + "\n" for row in rows[:2])
    assert cut_metrics(path, start_iter=0) == -1
    assert path.read_text() == ""


def test_no_file_has_no_rows_and_a_broken_line_in_the_middle_is_an_error(path: Path):
    assert read_metrics(path) == []
    assert cut_metrics(path, start_iter=5) == -1
    assert not path.exists()
    path.write_text('{"iteration": 0}\n{"itera\n{"iteration": 2}\n')
    with pytest.raises(json.JSONDecodeError):
        read_metrics(path)
