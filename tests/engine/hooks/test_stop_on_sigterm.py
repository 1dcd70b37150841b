"""SIGTERM: the step is finished, a checkpoint is saved, the exit code is 143."""

import os
import signal
from types import SimpleNamespace

import pytest

from acnet.engine.hooks import StopOnSigterm


class Recorder:
    """Stands for a checkpointer."""

    def __init__(self):
        self.saved = []

    def save(self, name: str, **extra: int) -> None:
        self.saved.append((name, extra))


@pytest.fixture
def hook():
    hook = StopOnSigterm(Recorder())
    hook.trainer = SimpleNamespace(iter=41)
    hook.before_train()
    yield hook
    hook.after_train()


def test_without_a_signal_nothing_happens(hook: StopOnSigterm):
    hook.after_step()
    hook.stop_if_requested()
    assert hook._checkpointer.saved == []


@pytest.mark.parametrize("ask", ["after_step", "stop_if_requested"])
def test_a_signal_saves_and_exits_at_the_next_chance(hook: StopOnSigterm, ask: str):
    os.kill(os.getpid(), signal.SIGTERM)  # does not end the process
    with pytest.raises(SystemExit) as ended:
        getattr(hook, ask)()
    assert ended.value.code == 143
    assert hook._checkpointer.saved == [("model_0000041", {"iteration": 41})]


def test_after_the_training_the_signal_means_what_it_did():
    before = signal.getsignal(signal.SIGTERM)
    hook = StopOnSigterm(Recorder())
    hook.before_train()
    assert signal.getsignal(signal.SIGTERM) != before
    hook.after_train()
    assert signal.getsignal(signal.SIGTERM) == before
