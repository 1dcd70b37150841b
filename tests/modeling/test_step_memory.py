"""What a step holds: by hand on a few tensors, and equal to a step with numbers in its tensors."""

import functools

import pytest
import torch
from detectron2.config import instantiate
from torch._subclasses.fake_tensor import FakeTensorMode

from acnet.config import load_config
from acnet.modeling.activation_checkpointing import checkpoint_activations
from acnet.modeling.complexity import count_macs_by_layer
from acnet.modeling.step_memory import StepOptions, _LiveBytes, _run, step_cost

SMALL = (64, 64)


def build():
    return instantiate(load_config("toy/acnet_r18", ["train.channels_last=false"]).model)


@functools.cache
def cost(**options):
    return step_cost(build, StepOptions(**{"image_hw": SMALL, **options}))


def test_the_peak_of_a_few_tensors_by_hand():
    # 100 floats are 400 bytes. a, b and their sum: 1,200; b goes; the square of the sum: 1,200
    # again, so the peak stays. A view weighs nothing.
    with FakeTensorMode(), _LiveBytes() as live:
        a, b = torch.empty(100), torch.empty(100)
        total = a + b
        assert (live.now, live.peak) == (1200, 1200)
        del b
        assert live.now == 800
        square = total * total
        view = square.view(10, 10)
        assert (live.now, live.peak) == (1200, 1200)
        del square, view, total, a
        assert (live.now, live.peak) == (0, 1200)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_fake_tensors_weigh_as_much_as_real_ones(checkpointing):
    options = StepOptions(image_hw=SMALL, images=2, checkpointing=checkpointing)
    with _LiveBytes() as live:
        model = build().eval()
        if checkpointing:
            checkpoint_activations(model)
        _run(model, options)
    momentum = 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    fake = cost(images=2, checkpointing=checkpointing).peak_bytes
    assert fake == pytest.approx(live.peak + momentum, rel=0.02)  # ops hold scratch of their own


def test_every_step_holds_weights_gradients_and_momentum():
    parameters = 7_976_377  # tests/configs/test_configs.py; all are trained
    assert cost(images=1).peak_bytes > 3 * 4 * parameters


def test_images_half_precision_checkpointing_and_parts():
    one, two = (cost(images=n).peak_bytes for n in (1, 2))
    assert one < two < 2 * one
    # Half precision halves maps and adds a copy of the weights: it pays where maps are large.
    large = [cost(images=4, image_hw=(192, 192), amp=amp).peak_bytes for amp in (False, True)]
    assert large[1] < large[0]
    assert cost(images=2, checkpointing=True).peak_bytes < two
    # In the second part the gradients of the first are held from its beginning; images are not.
    whole, half, parts = (
        cost(images=images, parts=parts, image_hw=(320, 320)).peak_bytes
        for images, parts in ((2, 1), (1, 1), (1, 2))
    )
    assert half < parts < whole


def test_checkpointing_computes_its_blocks_again():
    assert cost(images=1).recomputed_macs == 0
    again = cost(images=1, checkpointing=True).recomputed_macs
    assert cost(images=2, checkpointing=True).recomputed_macs == again  # of an image
    with torch.device("meta"):
        model = build()
    forward = count_macs_by_layer(model, SMALL, 64)
    assert 0.4 < again / sum(forward.values()) < 1.0  # all but RPN, heads and attention
