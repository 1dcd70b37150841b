"""Evaluation on its own: which weights, which precision, which file."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from acnet.checkpoint import ACNetCheckpointer
from acnet.engine.evaluate import default_eval, evaluate_only
from acnet.errors import UserError
from tests.engine.tiny_task import TinyDetector

ALONE = Namespace(resume=False, eval_only=True)
RESUME = Namespace(resume=True, eval_only=True)


def save(folder: Path, name: str, bias: float) -> Path:
    model = TinyDetector()
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.constant_(model.head.bias, bias)
    ACNetCheckpointer(model, folder).save(name)
    return folder / f"{name}.pth"


def test_evaluation_by_hand_and_its_file(tiny_cfg, tmp_path):
    # A head without weights says 1 for each image. The targets of images 0..9 are i mod 3, thus
    # four 0s, three 1s and three 2s: the mean squared error is (4 * 1 + 3 * 0 + 3 * 1) / 10 = 0.7.
    weights = save(tmp_path, "constant", bias=1.0)
    results = evaluate_only(tiny_cfg(f"train.init_checkpoint={weights}"), ALONE)
    assert results["bbox"]["AP50"] == pytest.approx(99.3)
    written = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    expected = {"bbox": {"AP50": results["bbox"]["AP50"], "APs": None}}
    assert written == {"weights": str(weights), "results": expected}


def test_resume_takes_the_last_checkpoint_and_else_the_configs(tiny_cfg, tmp_path):
    given = save(tmp_path / "elsewhere", "given", bias=1.0)
    cfg = tiny_cfg(f"train.init_checkpoint={given}")
    assert evaluate_only(cfg, RESUME)["bbox"]["AP50"] == pytest.approx(99.3)
    save(tmp_path / "run", "last", bias=0.0)  # mean squared error (3 * 1 + 3 * 4) / 10 = 1.5
    assert evaluate_only(cfg, RESUME)["bbox"]["AP50"] == pytest.approx(98.5)
    assert evaluate_only(cfg, ALONE)["bbox"]["AP50"] == pytest.approx(99.3)


@pytest.mark.parametrize("args", [ALONE, RESUME])
def test_no_weights_are_an_error_rather_than_random_ones(tiny_cfg, args):
    with pytest.raises(UserError, match=r"train\.init_checkpoint=FILE, or --resume"):
        evaluate_only(tiny_cfg(), args)


def test_weights_of_another_model_are_an_error(tiny_cfg, tmp_path):
    state = TinyDetector().state_dict()
    state["extra.weight"] = state.pop("bn.weight")
    torch.save({"model": state}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"file: bn\.weight; not in the model: extra\.weight"):
        evaluate_only(tiny_cfg(f"train.init_checkpoint={tmp_path / 'other.pth'}"), ALONE)


def test_the_precision_of_the_training_is_used_and_the_mode_restored(tiny_cfg):
    model = TinyDetector().train()
    exact = default_eval(tiny_cfg(), model)["bbox"]["AP50"]
    rounded = default_eval(tiny_cfg("train.amp.enabled=true"), model)["bbox"]["AP50"]
    assert model.training
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.1)


def test_two_batches_are_a_fast_dev_run_and_what_is_called_before_one_can_end_it(tiny_cfg):
    model = TinyDetector()
    with pytest.raises(SystemExit):
        default_eval(tiny_cfg(), model, before_batch=exit)
    assert model.counts["test"] == 0
    default_eval(tiny_cfg("train.fast_dev_run=true"), model)
    assert model.counts["test"] == 2
