"""Weights are refused where colour order, pixel scale or strides are not theirs."""

import logging
import pickle
import shlex

import pytest
import torch

from acnet.checkpoint import ACNetCheckpointer
from acnet.errors import UnreadableFileError, WeightsMismatchError
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
    """Return the overrides that the error ends with."""
    with pytest.raises(WeightsMismatchError) as error:
        ACNetCheckpointer(model).load(str(path))
    return shlex.split(str(error.value).rpartition("override ")[2])


def test_torchvision_weights_in_a_model_for_msra(tmp_path):
    torch.save(torchvision_state(random_weights()), tmp_path / "r50.pth")
    blocks = ("backbone.bottom_up.lead.stages", "backbone.bottom_up.assistant.stages")
    assert refusal(Detector(), tmp_path / "r50.pth") == [
        "model.input_format=RGB",
        "model.pixel_mean=[123.675,116.28,103.53]",
        "model.pixel_std=[58.395,57.12,57.375]",
        *(f"model.{block}.stride_in_1x1=False" for block in (*blocks, "roi_heads.res5")),
    ]


@pytest.mark.parametrize(
    ("change", "override"),
    [
        ({"input_format": "RGB"}, "model.input_format=BGR"),
        ({"pixel_mean": (103.53, 116.28, 120.0)}, "model.pixel_mean=[103.53,116.28,123.675]"),
        ({"pixel_std": (2.0,) * 3}, "model.pixel_std=[1,1,1]"),
    ],
)
def test_each_setting_is_checked(tmp_path, change, override):
    path = write_msra_pickle(tmp_path / "R-50.pkl", random_weights(), affine=False)
    assert refusal(Detector(input_settings=MSRA_INPUT | change), path) == [override]


@pytest.mark.parametrize("author", ["torchvision", "Caffe2", "MSRA"])
def test_the_author_decides_where_the_names_are_detectron2s(tmp_path, author):
    path = tmp_path / "r50.pkl"
    arrays = {name: value.numpy() for name, value in random_weights().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": author}))
    is_msra = author != "torchvision"
    wrong = TORCHVISION_INPUT if is_msra else MSRA_INPUT
    model = Detector(input_settings=wrong, stride_in_1x1=is_msra)
    assert refusal(model, path)[0] == f"model.input_format={'BGR' if is_msra else 'RGB'}"


@pytest.mark.parametrize("author", [None, "somebody", ["MSRA"]])
def test_unknown_author_is_a_warning(tmp_path, caplog, author):
    weights, model = random_weights(), Detector()
    torch.save({"model": weights, "__author__": author}, tmp_path / "r50.pth")
    with caplog.at_level(logging.WARNING):
        ACNetCheckpointer(model).load(str(tmp_path / "r50.pth"))
    assert_all_filled(model, weights)
    assert "make sure of input_format" in caplog.text


def test_our_own_checkpoints_carry_their_conventions(tmp_path):
    ACNetCheckpointer(Detector(), tmp_path).save("model_final")
    other = Detector(input_settings=MSRA_INPUT | {"input_format": "RGB"}, stride_in_1x1=False)
    overrides = refusal(other, tmp_path / "model_final.pth")
    assert overrides[0] == "model.input_format=BGR"
    assert "model.roi_heads.res5.stride_in_1x1=True" in overrides
    assert ACNetCheckpointer(Detector()).load(str(tmp_path / "model_final.pth")) == {}


@pytest.mark.parametrize(
    "change",
    [
        *({"unknown": 1}, {"name": 1}, {"input_format": ["BGR"]}, {"stride_in_1x1": "no"}, None),
        *({"pixel_mean": 5}, {"pixel_mean": ("a", "b", "c")}, {"pixel_std": torch.ones(3)}),
    ],
)
def test_conventions_of_a_strange_checkpoint_are_checked(tmp_path, change):
    path = tmp_path / "model_final.pth"
    ACNetCheckpointer(Detector(), tmp_path).save("model_final")
    content = torch.load(path, weights_only=True)
    conventions = content["input_conventions"]
    content["input_conventions"] = None if change is None else {**conventions, **change}
    torch.save(content, path)
    with pytest.raises(UnreadableFileError, match=r"model_final\.pth, where they are"):
        ACNetCheckpointer(Detector()).load(str(path))


def test_what_a_file_says_does_not_command_the_console(tmp_path):
    path = tmp_path / "model_final.pth"
    ACNetCheckpointer(Detector(), tmp_path).save("model_final")
    content = torch.load(path, weights_only=True)
    content["input_conventions"].update(name="\x1b[2J", input_format="\x1b[31m")
    torch.save(content, path)
    with pytest.raises(WeightsMismatchError) as error:
        ACNetCheckpointer(Detector()).load(str(path))
    assert "\x1b" not in str(error.value)
