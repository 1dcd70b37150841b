"""A detector's ResNet as a file of pretrained weights, for every ResNet of another detector."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import load_config
from acnet.errors import WeightsMismatchError

SCRIPT = Path(__file__).resolve().parents[2] / "projects/ACNet/extract_resnet.py"


def extract(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_lead_and_assistant_get_it(tmp_path, monkeypatch):
    torch.manual_seed(0)
    stand_in = instantiate(load_config("toy/stand_in").model)
    for module in stand_in.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
    torch.save({"model": stand_in.state_dict()}, tmp_path / "model_final.pth")
    extract(monkeypatch, tmp_path / "model_final.pth", tmp_path / "new" / "resnet.pth")
    model = instantiate(load_config("toy/pretrained/table2/cb").model)
    ACNetCheckpointer(model).load(str(tmp_path / "new" / "resnet.pth"))
    trained = stand_in.backbone.bottom_up.bottom_up.state_dict()
    dual = model.backbone.bottom_up.bottom_up
    for resnet in (dual.lead, dual.assistant):
        for name, value in resnet.state_dict().items():
            torch.testing.assert_close(value, trained[name])


def test_the_box_heads_stage_and_the_input_come_along(tmp_path, monkeypatch):
    model = instantiate(load_config("toy/table1/faster_rcnn_r18_c4").model)
    ACNetCheckpointer(model, str(tmp_path)).save("model_final")
    extract(monkeypatch, tmp_path / "model_final.pth", tmp_path / "resnet.pth")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    ACNetCheckpointer(model).load(str(tmp_path / "resnet.pth"))
    assert model.roi_heads.res5[0].conv1.weight.abs().sum() > 0
    model.input_format = "RGB"
    with pytest.raises(WeightsMismatchError, match="input_format"):
        ACNetCheckpointer(model).load(str(tmp_path / "resnet.pth"))


@pytest.mark.parametrize("config", ["toy/pretrained/table2/cb", None])
def test_two_or_none_are_refused(tmp_path, monkeypatch, capsys, config):
    weights = {"backbone.x": torch.zeros(1)}
    if config:
        weights = instantiate(load_config(config).model).state_dict()
    torch.save({"model": weights}, tmp_path / "a.pth")
    with pytest.raises(SystemExit, match="2"):
        extract(monkeypatch, tmp_path / "a.pth", tmp_path / "b.pth")
    assert "single backbone" in capsys.readouterr().err
    assert not (tmp_path / "b.pth").exists()
