"""The training step against detectron2's own, in each precision, and its errors."""

import contextlib
import copy
import itertools
from functools import partial

import pytest
import torch
from detectron2.engine import SimpleTrainer
from omegaconf import OmegaConf

from acnet.engine.loader import seed_everything
from acnet.engine.precision import Precision
from acnet.engine.trainer import Trainer, clip_gradients
from acnet.errors import UserError
from tests.engine import tiny_task

FP32 = Precision("cpu", None)


def batches():
    images = itertools.cycle(tiny_task.make_dicts())
    while True:
        yield [tiny_task.look(d) for d in itertools.islice(images, 4)]


def build(precision=FP32, model=tiny_task.TinyDetector, trainer=Trainer, **options):
    seed_everything(0)
    model = model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if trainer is Trainer:
        options["precision"] = precision
    return trainer(model=model, data_loader=batches(), optimizer=optimizer, **options)


def test_float32_is_detectron2s_simple_trainer():
    ours, theirs = build(), build(trainer=SimpleTrainer)
    for trainer in (ours, theirs):
        seed_everything(1)
        trainer.train(0, 5)
    torch.testing.assert_close(ours.model.state_dict(), theirs.model.state_dict(), rtol=0, atol=0)
    for name in ("total_loss", "loss_score", "loss_size"):
        assert ours.storage.history(name).values() == theirs.storage.history(name).values()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_trains_every_parameter_in_float32(dtype):
    trainer = build(Precision("cpu", dtype))
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train(0, 3)
    for old, new in zip(before, trainer.model.parameters(), strict=True):
        assert new.dtype == new.grad.dtype == torch.float32
        assert not torch.equal(old, new)


def test_scaling_by_a_power_of_two_changes_no_step():
    # Gradients come out 8 times as large and are divided by 8 again before the step: the same
    # numbers as without scaling. In bfloat16, whose exponent has room for both; in float16 some
    # processors round the smallest unscaled gradients away.
    scaled, plain = (build(Precision("cpu", torch.bfloat16)) for _ in range(2))
    scaled._grad_scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    plain._grad_scaler = torch.amp.GradScaler("cpu", enabled=False)
    for trainer in (scaled, plain):
        seed_everything(1)
        trainer.train(0, 3)
    torch.testing.assert_close(scaled.model.state_dict(), plain.model.state_dict())


def test_a_gradient_that_overflows_skips_the_step_and_lowers_the_scale():
    trainer = build(Precision("cpu", torch.float16))
    trainer._grad_scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train(0, 1)
    torch.testing.assert_close(list(trainer.model.parameters()), before, rtol=0, atol=0)
    assert trainer.state_dict()["grad_scaler"]["scale"] == 2.0**39


def test_a_nan_names_iteration_and_images():
    trainer = build(model=partial(tiny_task.TinyDetector, nan_at_image=5))
    with pytest.raises(FloatingPointError, match=r"iteration 1 on the images image_4.jpg, image_5"):
        trainer.train(0, 5)
    # Batches of four, so image 5 is in the second; the weights are those of the first step.
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


class MeanLoss(torch.nn.Module):
    """A linear model whose losses are means over the images, as in a detector without BN."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.sizes, self.unsynchronised = [], 0

    def forward(self, batch):
        self.sizes.append(len(batch))
        scores = self.linear(torch.stack([d["image"].mean(dim=(1, 2)) for d in batch]))[:, 0]
        targets = torch.tensor([d["target"] for d in batch])
        return {"loss_score": (scores - targets).square().mean(), "loss_size": scores.abs().mean()}

    @contextlib.contextmanager
    def no_sync(self):
        self.unsynchronised += 1
        yield


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_trains_as_a_whole_one(parts):
    trainers = whole, split = [build(model=MeanLoss, accumulate=count) for count in (1, parts)]
    for trainer in trainers:
        trainer.train(0, 5)
    assert split.model.sizes == [4 // parts] * parts * 5
    torch.testing.assert_close(split.model.state_dict(), whole.model.state_dict())
    for name in ("total_loss", "loss_score", "loss_size"):
        histories = [[v for v, _ in t.storage.history(name).values()] for t in trainers]
        assert histories[0] == pytest.approx(histories[1], rel=1e-5)
    # Of the parts of each step all but the last keep their gradients to themselves.
    assert (whole.model.unsynchronised, split.model.unsynchronised) == (0, (parts - 1) * 5)


def test_state_goes_on_where_it_was():
    first, second = (build(Precision("cpu", torch.float16)) for _ in range(2))
    assert first.next_iter == 0
    first.train(0, 2)
    first.iter = 1  # as in a hook after the second step
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    second.model.load_state_dict(first.model.state_dict())
    assert second.next_iter == 2
    second.data_loader = itertools.islice(batches(), 2, None)
    for trainer in (first, second):
        seed_everything(2)
        trainer.train(2, 4)
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    history = second.storage.history("total_loss").values()
    assert [iteration for _, iteration in history] == [0, 1, 2, 3]  # with the restored past
    assert history[2:] == first.storage.history("total_loss").values()
    assert second.state_dict()["grad_scaler"] == first.state_dict()["grad_scaler"]
    plain = build()  # a run without scaling, whose state loads into one with it
    plain.train(0, 1)
    second.load_state_dict(plain.state_dict())
    second.train(1, 2)
    assert second.state_dict()["grad_scaler"]["scale"] > 0


@pytest.mark.parametrize("precision", [FP32, Precision("cpu", torch.bfloat16)])
def test_clipped_gradients_are_those_without_the_scale(precision):
    limit = 1e-3
    clip = {"enabled": True, "clip_type": "norm", "clip_value": limit, "norm_type": 2.0}
    trainer = build(precision)
    trainer._grad_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    # A fused optimizer unscales by itself, thus after the clipping.
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1, fused=True)
    clip_gradients(trainer.optimizer, OmegaConf.create(clip))
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train(0, 1)
    # lr 0.1: a step is a tenth of the gradient, whose norm is the limit.
    steps = [(a - b).norm().item() for a, b in zip(before, trainer.model.parameters(), strict=True)]
    assert max(steps) == pytest.approx(0.1 * limit, rel=1e-2)
    assert max(p.grad.norm().item() for p in trainer.model.parameters()) <= limit * 1.001
    with pytest.raises(UserError, match="norm or value"):
        clip_gradients(trainer.optimizer, OmegaConf.create({**clip, "clip_type": "l2"}))
