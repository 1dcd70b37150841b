"""When what is evaluated and written, and that a missing report is made up for."""

import math
from types import SimpleNamespace

import pytest
from detectron2.utils.events import EventStorage, EventWriter, get_event_storage

from acnet.engine.hooks import Report


class Recorder(EventWriter):
    """Remembers when it wrote, and which results were there."""

    def __init__(self):
        self.rows = []
        self.closed = False

    def write(self) -> None:
        storage = get_event_storage()
        new = {name for name, (_, i) in storage.latest().items() if i == storage.iter}
        self.rows.append((storage.iter, new))

    def close(self) -> None:
        self.closed = True


def run(max_iter: int, *, start_iter: int = 0, last_reported: int = -1, **periods: int) -> Recorder:
    writer = Recorder()
    report = Report(
        evaluate=lambda: {"bbox": {"AP50": 50.0, "APs": math.nan}},
        writers=[writer],
        best=None,
        last_reported=last_reported,
        **periods,
    )
    with EventStorage(start_iter) as storage:
        report.trainer = SimpleNamespace(
            storage=storage, start_iter=start_iter, max_iter=max_iter, iter=start_iter
        )
        report.before_train()
        assert report.trainer.iter == storage.iter == start_iter
        for storage.iter in range(start_iter, max_iter):
            report.trainer.iter = storage.iter
            report.after_step()
        report.after_train()
    assert writer.closed
    return writer


def test_each_period_and_the_end():
    # Rows after each third iteration, evaluations after each fourth, both after the last of ten.
    rows = run(10, log_period=3, eval_period=4).rows
    result = {"bbox/AP50"}
    assert rows == [(2, set()), (3, result), (5, set()), (7, result), (8, set()), (9, result)]


@pytest.mark.parametrize("eval_period", [0, 100])
def test_the_end_is_always_evaluated(eval_period: int):
    assert run(4, log_period=100, eval_period=eval_period).rows == [(3, {"bbox/AP50"})]


@pytest.mark.parametrize(
    ("start_iter", "last_reported", "made_up"),
    [
        (4, 2, [(3, {"bbox/AP50"})]),  # killed in the evaluation after iteration 3
        (4, 3, []),  # killed after it
        (3, -1, [(2, set())]),  # killed before the row of iteration 2
        (2, -1, []),  # nothing was due after iteration 1
        (0, -1, []),  # a new run
        (10, 8, [(9, {"bbox/AP50"})]),  # killed in the last evaluation
        (10, 9, []),  # a finished run
    ],
)
def test_a_missing_report_is_made_before_the_training_goes_on(
    start_iter: int, last_reported: int, made_up: list
):
    whole = run(10, log_period=3, eval_period=4).rows
    rows = run(
        10, start_iter=start_iter, last_reported=last_reported, log_period=3, eval_period=4
    ).rows
    assert rows == made_up + [row for row in whole if row[0] >= start_iter]
