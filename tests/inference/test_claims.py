"""Claims: one owner at a time, and what a dead process claimed is free again."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acnet.inference import claims as module
from acnet.inference.claims import DEAD_AFTER_SECONDS, Claims


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def on_other_machine(claims: Claims) -> Claims:
    """Let a process look as if it ran elsewhere, where its number says nothing here."""
    claims.worker = claims.worker.replace(claims._machine, "0" * 12)
    return claims


def test_a_claim_has_one_owner_until_it_is_given_back(tmp_path, clock):
    with Claims(tmp_path, 0, clock=clock) as ours, Claims(tmp_path, 1, clock=clock) as theirs:
        assert ours.take("a")
        assert not theirs.take("a")
        assert theirs.take("b")
        ours.release("a")
        assert theirs.take("a")


def test_leaving_gives_everything_back(tmp_path):
    with Claims(tmp_path, 0) as claims:
        claims.take("a")
    assert list(tmp_path.iterdir()) == []


def test_claims_of_an_ended_process_of_this_machine_are_free_at_once(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from acnet.inference.claims import Claims\n"
        "Claims(Path(sys.argv[1]), 1).__enter__().take('a'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert (tmp_path / "a.claim").exists()
    with Claims(tmp_path, 0) as ours:
        assert ours.take("a")


def test_a_silent_process_elsewhere_is_dead_after_a_minute_by_our_clock(tmp_path, clock):
    # Its file is from the year 2001: only whether it changes counts, not what its clock says.
    theirs = on_other_machine(Claims(tmp_path, 1))
    alive = tmp_path / f"{theirs.worker}.alive"
    alive.touch()
    os.utime(alive, (1e9, 1e9))
    assert theirs.take("a")
    with Claims(tmp_path, 0, clock=clock) as ours:
        assert not ours.take("a")
        clock.now += DEAD_AFTER_SECONDS - 1
        assert not ours.take("a")
        os.utime(alive, (1e9 + 5, 1e9 + 5))  # it beats once more
        clock.now += DEAD_AFTER_SECONDS - 1
        assert not ours.take("a")
        clock.now += DEAD_AFTER_SECONDS - 1
        assert not ours.take("a")
        clock.now += 1
        assert ours.take("a")


def test_a_claim_without_a_sign_of_life_is_free(tmp_path, clock):
    theirs = on_other_machine(Claims(tmp_path, 1))
    assert theirs.take("a")
    with Claims(tmp_path, 0, clock=clock) as ours:
        assert ours.take("a")


def test_a_claim_that_was_never_written_is_free_after_a_minute(tmp_path, clock):
    (tmp_path / "a.claim").touch()  # killed between creating and writing it
    with Claims(tmp_path, 0, clock=clock) as ours:
        assert not ours.take("a")
        clock.now += DEAD_AFTER_SECONDS
        assert ours.take("a")


def test_a_living_process_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    with Claims(tmp_path, 0) as claims:
        alive = tmp_path / f"{claims.worker}.alive"
        os.utime(alive, (0, 0))
        deadline = time.monotonic() + 10
        while alive.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert alive.stat().st_mtime > 0


def test_files_do_not_name_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(module.socket, "gethostname", _secret_host)
    with Claims(tmp_path, 0) as claims:
        claims.take("a")
        written = [path.name + path.read_text() for path in Path(tmp_path).iterdir()]
        assert written
        assert "secret" not in "".join(written)


def _secret_host() -> str:
    return "secret-clinic"
