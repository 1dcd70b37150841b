"""`acnet train` takes what detectron2's scripts take; runs: tests/engine/test_train_net.py"""

import pytest
from detectron2.engine import default_argument_parser

from acnet.cli.main import build_parser
from acnet.cli.train import build_parser as train_net_parser

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
    assert train_net_parser().parse_args(["--config", "toy/acnet_r18"]).config_file == (
        "toy/acnet_r18"
    )
