"""The runner: order, failures, what a killed one leaves behind, interruption."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from acnet.tables import process
from acnet.tables.lock import FolderLock
from acnet.tables.record import read_record
from acnet.tables.runner import Runner
from tests.tables.sample_records import add_record
from tests.tables.sample_runs import make_run, programs


@pytest.fixture
def use(monkeypatch):
    """Return a function that replaces the programs of all runs by short ones."""

    def replace(**options) -> None:
        def of_run(run, *, num_gpus):
            return programs(run, **options)

        monkeypatch.setattr(process, "programs", of_run)

    return replace


def test_all_runs_are_done_and_only_final_checkpoints_stay(tmp_path, use, capsys):
    use()
    runs = [make_run(tmp_path, key, seed=1) for key in ("baseline", "cb")]
    assert Runner(runs, jobs=2, threads=1).run() == []
    for run in runs:
        assert read_record(run.record).row == run.row.config
        assert [path.name for path in run.folder.glob("*.pth")] == ["model_final.pth"]
    assert "toy/table2/cb, seed 1: AP50, VOC 2007: mixed 30.0" in capsys.readouterr().err


def test_a_failing_run_is_reported_and_the_others_go_on(tmp_path, use, capsys):
    use(failing=("baseline",))
    runs = [make_run(tmp_path, key, seed=1) for key in ("baseline", "cb")]
    (failure,) = Runner(runs, jobs=1, threads=1).run()
    assert (failure.run, failure.status) == (runs[0], 3)
    assert failure.last_words == "  | the loss became infinite"
    assert read_record(runs[1].record).row == "toy/table2/cb"
    assert not runs[0].record.exists()


def test_a_run_that_another_command_has_done_is_left_alone(tmp_path, use, capsys):
    use(failing=("cb",))
    run = make_run(tmp_path, "cb", seed=1)
    add_record(tmp_path / "results", "toy/table2/cb", 1, 40.0)
    assert Runner([run], jobs=1, threads=1).run() == []
    assert "was done meanwhile" in capsys.readouterr().err


def test_programs_get_their_threads_and_this_source(tmp_path):
    run = make_run(tmp_path, "cb", seed=1)
    lock = FolderLock(run.folder)
    assert lock.take()
    started = process.RunProcess(run, lock, jobs=1, threads=3, num_gpus=0)
    environment = started._environment
    started.stop()
    started.wait(10)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(process.REPO_ROOT)


def test_the_training_is_train_net_itself(tmp_path):
    run = make_run(tmp_path, "cb", seed=1)
    train, measure = process.programs(run, num_gpus=2)
    assert train[1:] == ["--config-file", "toy/table2/cb", "--num-gpus", "2", "--resume"]
    assert process.TRAIN_NET.is_file()
    assert train[0] == str(process.TRAIN_NET)
    assert measure[-1] == str(run.folder)


def test_a_lock_outlives_its_owner_in_the_program_that_inherited_it(tmp_path):
    lock = FolderLock(tmp_path)
    assert lock.take()
    assert not FolderLock(tmp_path).take()
    code = "import time; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], pass_fds=[lock.descriptor])
    lock.release()  # as the system does for a process that is killed
    assert not FolderLock(tmp_path).take()
    child.kill()
    child.wait()
    assert FolderLock(tmp_path).take()
    with pytest.raises(ValueError, match="Call take first"):
        lock.descriptor  # noqa: B018


def test_what_a_killed_runner_leaves_keeps_the_folder_to_itself(tmp_path, use):
    use(seconds=60)
    run = make_run(tmp_path, "cb", seed=1)
    lock = FolderLock(run.folder)
    assert lock.take()
    left = process.RunProcess(run, lock, jobs=1, threads=1, num_gpus=0)
    lock.release()  # as the system does for a runner that is killed
    assert not FolderLock(run.folder).take()
    left.stop()
    left.wait(10)
    assert lock.take()
    lock.release()


def test_an_interruption_ends_the_programs_and_a_new_runner_goes_on(tmp_path, use):
    use(seconds=60)
    run = make_run(tmp_path, "cb", seed=1)
    watcher = threading.Thread(target=_terminate_when, args=(run,))
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        Runner([run], jobs=1, threads=1).run()
    watcher.join()
    lock = FolderLock(run.folder)
    assert lock.take()  # its program is gone as well
    lock.release()
    assert not run.record.exists()
    use()
    assert Runner([run], jobs=1, threads=1).run() == []
    assert process.done_iterations(run) == 4
    assert read_record(run.record).seed == 1


def _terminate_when(run) -> None:
    """Send SIGTERM to this process once a training has begun."""
    end = time.monotonic() + 30
    while not process.done_iterations(run) and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
