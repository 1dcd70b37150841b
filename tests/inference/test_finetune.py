"""Fine-tuning: what is held out, what stays frozen, and that the model is not lost by it."""

import csv
import re
from pathlib import Path

import pytest
import torch

from acnet.checkpoint.bundle import resolve_weights
from acnet.checkpoint.safe_load import read_checkpoint
from acnet.cli.main import main
from acnet.errors import UserError
from acnet.inference.finetune import prepare


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "acnet-r18-demo"], "--from NAME --data SET"),
        (["--data", "set"], "--from NAME --data SET"),
        (["--from", "a", "--data", "b", "--config", "toy/acnet_r18"], "no config"),
    ],
)
def test_mistakes_are_told(words, message, capsys):
    assert main(["train", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_exported_file_is_not_trained(tmp_path):
    with pytest.raises(UserError, match="exported file"):
        prepare(str(resolve_weights(None).with_suffix(".onnx")), tmp_path, [])


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), TORCHRUN], ids=["one process", "torchrun"])
def test_a_small_set_is_split_by_photos_and_learned_from(run_python, tmp_path, launcher):
    words = ("-W", "ignore", "-m", "acnet.cli.main")
    run_python(*words, "data", "toy", "toy", "--photos", 12, "--size", 320, cwd=tmp_path)
    short = ("train.output_dir=out", "train.max_iter=5", "dataloader.train.num_workers=0")
    options = ("--from", "acnet-r18-demo", "--data", "toy", *short)
    shown = run_python(*words[:2], *launcher, *words[2:], "train", *options, cwd=tmp_path)
    said = re.findall(r"AP50 on 3 held-out photos: (\S+) before, (\S+) after \([+-]\d", shown)
    [(before, after)] = [map(float, numbers) for numbers in said]  # by one process alone
    assert after > before / 2 > 10
    with (tmp_path / "out" / "data" / "parts.csv").open() as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert (parts.count("train"), parts.count("held_out")) == (9, 3)
    old = read_checkpoint(resolve_weights(None))["model"]
    new = read_checkpoint(Path(tmp_path, "out", "model_final.pth"))["model"]
    frozen = [name for name in new if re.search(r"lead\.stem|(lead|assistant)\.res2\.", name)]
    assert len(frozen) > 20
    assert all(torch.equal(old[name].float(), new[name].float()) for name in frozen)
    trained = [name for name in new if re.search(r"res4\.1\.conv2\.weight", name)]
    assert not any(torch.equal(old[name].float(), new[name]) for name in trained)
