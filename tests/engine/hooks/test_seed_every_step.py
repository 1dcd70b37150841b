"""Random numbers of a step depend on nothing but its place."""

from types import SimpleNamespace

import pytest
import torch
from detectron2.utils import comm

from acnet.engine.hooks import SeedEveryStep


def draw(hook: SeedEveryStep, iteration: int) -> float:
    hook.trainer = SimpleNamespace(iter=iteration)
    hook.before_step()
    return torch.rand(()).item()


def test_a_step_draws_the_same_whatever_came_before():
    hook = SeedEveryStep(42)
    in_order = [draw(hook, i) for i in range(5)]
    torch.rand(100)
    assert [draw(SeedEveryStep(42), i) for i in (4, 2)] == [in_order[4], in_order[2]]
    assert len(set(in_order)) == 5
    assert draw(SeedEveryStep(43), 0) != in_order[0]


def test_each_process_draws_its_own(monkeypatch: pytest.MonkeyPatch):
    first = draw(SeedEveryStep(42), 0)
    monkeypatch.setattr(comm, "get_rank", lambda: 1)
    assert draw(SeedEveryStep(42), 0) != first
