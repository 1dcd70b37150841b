"""Weights are refused where colour order, pixel scale or strides are not theirs."""

import logging
import pickle
import shlex

import pytest
import torch
from detectron2.modeling.backbone.resnet import BasicBlock

from acnet.checkpoint import ACNetCheckpointer
from acnet.errors import WeightsMismatchError
from tests.checkpoint.weights_files import (
    MSRA_INPUT,
    TORCHVISION_INPUT,
    Detector,
    assert_all_filled,
    random_weights,
    torchvision_state,
    write_msra_pickle,
)


def refusal(model, path) -> list[str]:
    """The overrides that the error ends with."""
    with pytest.raises(WeightsMismatchError) as error:
        ACNetCheckpointer(model).load(str(path))
    return shlex.split(str(error.value).rpartition("override ")[2])


def test_torchvision_weights_in_a_model_for_msra(tmp_path):
    torch.save(torchvision_state(random_weights()), tmp_path / "r50.pth")
    assert refusal(Detector(), tmp_path / "r50.pth") == [
        "model.input_format=RGB",
        "model.pixel_mean=[123.675,116.28,103.53]",
        "model.pixel_std=[58.395,57.12,57.375]",
        "model.backbone.bottom_up.lead.stages.stride_in_1x1=False",
        "model.backbone.bottom_up.assistant.stages.stride_in_1x1=False",
        "model.roi_heads.res5.stride_in_1x1=False",
    ]


def test_msra_weights_in_a_model_for_torchvision(tmp_path):
    path = write_msra_pickle(tmp_path / "R-50.pkl", random_weights(), affine=False)
    model = Detector(input_settings=TORCHVISION_INPUT, stride_in_1x1=False)
    overrides = refusal(model, path)
    assert overrides[:2] == ["model.input_format=BGR", "model.pixel_mean=[103.53,116.28,123.675]"]
    assert overrides[2] == "model.pixel_std=[1,1,1]"
    assert len(overrides) == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [("input_format", "RGB"), ("pixel_mean", (103.53, 116.28, 120.0)), ("pixel_std", (2.0,) * 3)],
)
def test_each_setting_is_checked(tmp_path, field, value):
    path = write_msra_pickle(tmp_path / "R-50.pkl", random_weights(), affine=False)
    model = Detector(input_settings=MSRA_INPUT | {field: value})
    assert [one.partition("=")[0] for one in refusal(model, path)] == [f"model.{field}"]


def test_basic_blocks_have_no_stride_to_check(tmp_path):
    weights = random_weights(BasicBlock)
    torch.save(torchvision_state(weights), tmp_path / "r18.pth")
    model = Detector(BasicBlock, input_settings=TORCHVISION_INPUT)
    ACNetCheckpointer(model).load(str(tmp_path / "r18.pth"))
    assert_all_filled(model, weights)


@pytest.mark.parametrize("author", ["torchvision", "Caffe2", "MSRA"])
def test_the_author_decides_where_the_names_are_detectron2s(tmp_path, author):
    path = tmp_path / "r50.pkl"
    arrays = {name: value.numpy() for name, value in random_weights().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": author}))
    is_msra = author != "torchvision"
    wrong = TORCHVISION_INPUT if is_msra else MSRA_INPUT
    model = Detector(input_settings=wrong, stride_in_1x1=is_msra)
    assert refusal(model, path)[0] == f"model.input_format={'BGR' if is_msra else 'RGB'}"


def test_unknown_author_is_a_warning(tmp_path, caplog):
    weights, model = random_weights(), Detector()
    torch.save(weights, tmp_path / "r50.pth")
    with caplog.at_level(logging.WARNING):
        ACNetCheckpointer(model).load(str(tmp_path / "r50.pth"))
    assert_all_filled(model, weights)
    assert "make sure of input_format" in caplog.text


def test_our_own_checkpoints_carry_their_conventions(tmp_path):
    """Trained on BGR, used on RGB: the same refusal as for ImageNet weights."""
    ACNetCheckpointer(Detector(), tmp_path).save("model_final")
    other = Detector(input_settings=MSRA_INPUT | {"input_format": "RGB"}, stride_in_1x1=False)
    overrides = refusal(other, tmp_path / "model_final.pth")
    assert overrides[0] == "model.input_format=BGR"
    assert "model.roi_heads.res5.stride_in_1x1=True" in overrides
    rest = ACNetCheckpointer(Detector()).load(str(tmp_path / "model_final.pth"))
    assert rest == {}
