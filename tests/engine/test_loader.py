"""The training loader: the same data whatever reads it, and errors that help."""

import os
import random
import signal
from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.utils import comm

from acnet.engine import build_train_loader
from acnet.engine.seeding import seed_everything
from acnet.errors import UserError
from tests.engine import tiny_task


def build(**changes):
    arguments = {
        "dataset": tiny_task.make_dicts(),
        "mapper": tiny_task.draw,
        "total_batch_size": 4,
        "num_workers": 0,
    }
    return build_train_loader(**{**arguments, **changes})


def read(loader, count: int) -> list[tuple[int, float]]:
    return [(d["image_id"], d["image"].sum().item()) for b in islice(loader, count) for d in b]


def test_workers_do_not_change_the_data():
    assert read(build(num_workers=2), 6) == read(build(), 6)


def test_start_at_gives_what_an_unbroken_stream_gives():
    unbroken = read(build(), 9)
    for num_workers in (0, 2):
        loader = build(num_workers=num_workers)
        loader.start_at(5)
        assert read(loader, 4) == unbroken[5 * 4 :]


def test_an_image_is_augmented_anew_each_epoch():
    drawn = read(build(), 10)  # four epochs of ten images
    assert len({value for image, value in drawn if image == 3}) == 4


def test_reading_leaves_the_random_numbers_of_the_training_alone():
    for num_workers in (0, 1):
        seed_everything(0)
        expected = (random.random(), np.random.rand(), torch.rand(()))  # noqa: NPY002
        seed_everything(0)
        read(build(num_workers=num_workers), 2)
        assert (random.random(), np.random.rand(), torch.rand(())) == expected  # noqa: NPY002


def test_groups_follow_the_shape():
    batches = islice(build(dataset=tiny_task.make_dicts(64)), 16)
    shapes = [{d["width"] > d["height"] for d in batch} for batch in batches]
    assert sum(len(shape) > 1 for shape in shapes) <= 1


def test_a_negative_seed_draws_one():
    assert read(build(seed=-1), 3) != read(build(seed=-1), 3)


def test_unequal_shares_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comm, "get_world_size", lambda: 3)
    with pytest.raises(UserError, match=r"total_batch_size=4 with 3 processes.*a multiple of 3"):
        build()


def test_unknown_sizes_are_an_error_with_a_remedy():
    dicts = [{"image_id": i} for i in range(3)]
    with pytest.raises(UserError, match=r"aspect_ratio_grouping=False"):
        build(dataset=dicts)
    assert len(next(iter(build(dataset=dicts, mapper=dict, aspect_ratio_grouping=False)))) == 4


def test_a_worker_outlives_a_sigterm_from_elsewhere():
    loader = iter(build(num_workers=1))
    next(loader)
    (worker,) = loader._workers
    sender = os.fork()
    if sender == 0:  # another process of the machine: not the worker's parent
        os.kill(worker.pid, signal.SIGTERM)
        os._exit(0)
    os.waitpid(sender, 0)
    assert len([next(loader) for _ in range(5)]) == 5
    assert worker.is_alive()
    os.kill(worker.pid, signal.SIGTERM)  # the worker's parent
    worker.join(timeout=5)
    assert worker.exitcode == 0
