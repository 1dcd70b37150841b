"""Two processes on a CPU, forked from the test: one batch, one model, one evaluation."""

import json
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from detectron2.utils import comm
from torch import multiprocessing

from acnet.engine.evaluate import default_eval
from acnet.engine.launch import broadcast_buffers, first_alone
from acnet.engine.loader import build_train_loader
from acnet.engine.metrics import read_metrics
from acnet.errors import UserError
from tests.engine import tiny_task


def write_batches(folder: Path) -> None:
    loader = build_train_loader(
        dataset=tiny_task.make_dicts(), mapper=tiny_task.draw, total_batch_size=4, num_workers=0
    )
    read = [[(d["image_id"], d["image"].sum().item()) for d in b] for b in islice(loader, 6)]
    (folder / f"{comm.get_rank()}.json").write_text(json.dumps(read))


def test_two_processes_share_the_batches_of_one(in_two_processes, tmp_path):
    write_batches(tmp_path)
    alone = json.loads((tmp_path / "0.json").read_text())
    in_two_processes(write_batches, tmp_path)
    halves = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [first + second for first, second in zip(*halves, strict=True)] == alone


def prepare(folder: Path, name: str) -> str:
    (folder / f"{name}_{comm.get_rank()}").touch()
    if name == "wrong":
        raise UserError("Give a number.")
    return name


def check_first_alone(folder: Path) -> None:
    assert first_alone(prepare, folder, "right") == "right"
    with pytest.raises(UserError, match=r"Give a number\."):
        first_alone(prepare, folder, "wrong")


def test_the_first_process_alone_prepares_and_all_hear_of_it(in_two_processes, tmp_path):
    (tmp_path / "made").mkdir()
    in_two_processes(check_first_alone, tmp_path / "made")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"right_0", "wrong_0"}


def check_buffers() -> None:
    model = tiny_task.TinyDetector()
    model.bn.running_mean.fill_(comm.get_rank() + 5)
    broadcast_buffers(model)
    assert model.bn.running_mean.tolist() == [5.0] * 4


def test_buffers_come_from_the_first_process(in_two_processes):
    in_two_processes(check_buffers)


def test_training_evaluates_the_one_model_that_it_saves(in_two_processes, tiny_cfg, train):
    cfg = tiny_cfg("train.eval_period=6")
    in_two_processes(train, cfg)
    folder = Path(cfg.train.output_dir)
    model = tiny_task.TinyDetector()
    model.load_state_dict(torch.load(folder / "model_final.pth", weights_only=True)["model"])
    alone = default_eval(cfg, model)["bbox"]["AP50"]
    assert read_metrics(folder / "metrics.json")[-1]["bbox/AP50"] == alone


def test_two_processes_resume_exactly(in_two_processes, tiny_cfg, train, metrics):
    in_two_processes(train, tiny_cfg(name="unbroken"))
    with pytest.raises(multiprocessing.ProcessExitedException) as ended:
        in_two_processes(train, tiny_cfg("model.sigterm_at_step=8"))
    assert ended.value.exit_code == 143
    cfg = tiny_cfg()
    in_two_processes(partial(train, resume=True), cfg)
    folder = Path(cfg.train.output_dir)
    assert metrics(folder) == metrics(folder.with_name("unbroken"))
