"""Results in order, whatever the number of processes; errors arrive."""

import os
import signal
import subprocess
import sys
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
    assert map_photos(square, [], workers=workers, description="squaring") == []
    assert default_workers() >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_arrives(workers):
    with pytest.raises(UnreadableFileError, match="Received -1"):
        map_photos(square, [1, -1, 2], workers=workers, description="squaring")


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


def sleep_and_tell(path: str) -> None:
    with open(path, "a") as file:  # noqa: PTH123
        file.write(f"{os.getpid()}\n")
    time.sleep(60)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_killed_parent(tmp_path, number):
    code = (
        "from acnet.data.parallel import map_photos\n"
        "from tests.data.test_parallel import sleep_and_tell\n"
        "if __name__ == '__main__':\n"
        f"    paths = [{str(tmp_path / 'pids')!r}] * 2\n"
        "    map_photos(sleep_and_tell, paths, workers=2, description='')"
    )
    (tmp_path / "run.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}  # noqa: PTH109
    parent = subprocess.Popen([sys.executable, tmp_path / "run.py"], env=environment)
    pids: list[int] = []
    deadline = time.monotonic() + 60
    while len(pids) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        if (tmp_path / "pids").is_file():
            pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(pids) == 2
    assert not any(map(is_running, pids))
