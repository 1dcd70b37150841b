"""`acnet train` takes what detectron2's scripts take, and `acnet configs` lists every config.

Runs are in tests/engine/test_train_net.py.
"""

import pytest
from detectron2.engine import default_argument_parser

from acnet.cli.main import build_parser, main
from acnet.cli.train import build_parser as train_net_parser
from acnet.cli.train import config_summary, read_sizes
from acnet.config import CONFIG_ROOT, available_configs

WORDS = [
    [],
    ["--config-file", "toy/acnet_r18", "--num-gpus", "2", "train.max_iter=3", "--looks-like-one"],
    ["--resume", "--eval-only", "--num-machines", "2", "--machine-rank", "1", "--dist-url", "auto"],
]


@pytest.mark.parametrize("words", WORDS)
def test_options_are_those_of_detectron2(words: list[str]) -> None:
    expected = vars(default_argument_parser().parse_args(words))
    assert vars(train_net_parser().parse_args(words)) == expected
    ours = vars(build_parser().parse_args(["train", *words]))
    assert {name: ours[name] for name in expected} == expected


def test_config_is_short_for_config_file() -> None:
    assert train_net_parser().parse_args(["--config", "toy/x"]).config_file == "toy/x"


def test_every_config_has_its_line(capsys) -> None:
    assert main(["configs"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["config", "parameters", "GMACs"]
    assert [line.split()[0] for line in lines] == available_configs()
    row_d = next(line for line in lines if line.startswith("acne04/table2/cb_dce "))
    assert row_d.split(maxsplit=1)[1] == "98.6 M  503.7  Table II (d): CB and DCE. Paper: 16.2 mAP"


def test_every_config_has_a_size_and_says_what_it_is() -> None:
    assert sorted(read_sizes()) == available_configs()
    for name in available_configs():
        assert len(config_summary(CONFIG_ROOT / f"{name}.py")) > 20, name


def test_a_prefix_chooses(capsys) -> None:
    assert main(["configs", "voc07/"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 17
    assert main(["configs", "coco"]) == 2
    assert "Names begin with acne04, demo, toy, voc07." in capsys.readouterr().err


def test_it_imports_nothing_heavy(run_code) -> None:
    shown, imported = run_code("from acnet.cli.main import main; main(['configs'])")
    assert shown
    assert imported.isdisjoint({"cv2", "detectron2", "numpy", "torch"})
