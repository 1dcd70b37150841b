"""The runner: order, failures, what a killed one leaves behind, interruption."""

import functools
import os
import signal
import threading
import time

import pytest

from projects.ACNet.tables import runner
from projects.ACNet.tables.record import read_record
from projects.ACNet.tables.runner import Runner, RunProcess, take_lock
from tests.projects.tables.samples import add_record, make_run, programs


@pytest.fixture
def use(monkeypatch):
    """Return a function that replaces the programs of all runs by short ones."""

    def replace(**options) -> None:
        of_run = functools.partial(programs, **options)
        monkeypatch.setattr(runner, "programs", lambda run, **_: of_run(run))

    return replace


def test_a_failing_run_is_reported_and_of_the_others_only_final_checkpoints_stay(
    tmp_path, use, capsys
):
    use(failing=("baseline",))
    runs = [make_run(tmp_path, key, seed=1) for key in ("baseline", "cb", "cb_dce")]
    assert Runner(runs, jobs=2, threads=1).run() == [runs[0]]
    said = capsys.readouterr().err
    assert "baseline, seed 1: failed with status 3:\n  | the loss became infinite\n" in said
    assert "toy/table2/cb, seed 1: AP50, VOC 2007: mixed 30.0" in said
    assert not runs[0].record.exists()
    for run in runs[1:]:
        assert read_record(run.record).row == run.row.config
        assert [path.name for path in run.folder.glob("*.pth")] == ["model_final.pth"]


def test_a_run_that_another_command_has_done_is_left_alone(tmp_path, use, capsys):
    use(failing=("cb",))
    run = make_run(tmp_path, "cb", seed=1)
    add_record(tmp_path / "results", "toy/table2/cb", 1, 40.0)
    assert Runner([run], jobs=1, threads=1).run() == []
    assert "was done meanwhile" in capsys.readouterr().err


def test_the_training_is_train_net_itself(tmp_path):
    run = make_run(tmp_path, "cb", seed=1)
    train, measure = runner.programs(run, jobs=3, num_gpus=2)
    assert train[1:] == ["--config-file", "toy/table2/cb", "--num-gpus", "2", "--resume"]
    assert runner.TRAIN_NET.is_file()
    assert train[0] == str(runner.TRAIN_NET)
    assert measure[-2:] == [str(run.folder), "3"]


def test_what_a_killed_runner_leaves_keeps_the_folder_to_itself(tmp_path, use):
    use(seconds=60)
    run = make_run(tmp_path, "cb", seed=1)
    lock = take_lock(run.folder)
    left = RunProcess(run, lock, jobs=1, threads=3)
    assert left.environment["OMP_NUM_THREADS"] == left.environment["MKL_NUM_THREADS"] == "3"
    assert left.environment["PYTHONPATH"].split(os.pathsep)[0] == str(runner.REPO_ROOT)
    os.close(lock)  # as the system does for a runner that is killed
    assert take_lock(run.folder) is None
    left._lock = os.open(os.devnull, os.O_RDONLY)
    left.stop()
    left.wait(10)
    again = take_lock(run.folder)
    assert again is not None
    os.close(again)


def test_an_interruption_ends_the_programs_and_a_new_runner_goes_on(tmp_path, use):
    use(seconds=60)
    run = make_run(tmp_path, "cb", seed=1)
    watcher = threading.Thread(target=_terminate_when, args=(run,))
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        Runner([run], jobs=1, threads=1).run()
    watcher.join()
    lock = take_lock(run.folder)
    assert lock is not None  # its program is gone as well
    os.close(lock)
    assert not run.record.exists()
    use()
    assert Runner([run], jobs=1, threads=1).run() == []
    assert runner.done_iterations(run) == 4
    assert read_record(run.record).seed == 1


def _terminate_when(run) -> None:
    """Send SIGTERM to this process once a training has begun."""
    end = time.monotonic() + 30
    while not runner.done_iterations(run) and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
