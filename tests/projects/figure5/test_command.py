"""`acnet figure5` as a user runs it on saved files."""

import cv2
import numpy as np
import pytest

from acnet.cli.main import main
from tests.cli.evaluation_files import read, save_set


@pytest.fixture
def saved(tmp_path):
    """Arguments for 8 photos and two models, whose photos are grey."""
    truth, strong = save_set(tmp_path / "a", 8, seed=0)
    _, weak = save_set(tmp_path / "b", 8, seed=1)
    for image in read(truth)["images"]:
        path = tmp_path / "photos" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.full((image["height"], image["width"], 3), 128, np.uint8)
        cv2.imwrite(str(path), grey)
    return [
        *("figure5", truth, "--predictions", f"baseline={weak}", f"ACNet={strong}"),
        *("--image-root", tmp_path / "photos", "--output", tmp_path / "page"),
    ]


def run(*arguments) -> int:
    return main(list(map(str, arguments)))


def test_a_page_of_two_models(saved, tmp_path, capsys):
    assert run(*saved, "--photos", 1) == 0
    assert "index.html" in capsys.readouterr().out
    numbers = read(tmp_path / "page" / "figure5.json")
    assert [model["name"] for model in numbers["models"]] == ["baseline", "ACNet"]
    assert len(numbers["random"]) == 1


def test_saliency_comes_from_weights_with_their_config_beside_them(saved, weights, tmp_path):
    assert run(*saved, "--photos", 1, "--saliency", f"random weights={weights}") == 0
    panel = read(tmp_path / "page" / "figure5.json")["random"][0]["saliency"][0]
    assert panel["name"] == "random weights"
    assert 0 < panel["outside"] < 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--predictions", "a=x.json", "a=y.json"], "has a name of its own"),
        (["--image-root", "nowhere"], "which is no folder"),
        (["--saliency", "a=nowhere.pth"], "nowhere.pth, where there is no file"),
    ],
)
def test_mistakes_are_explained(saved, capsys, extra, message):
    assert run(*saved, *extra) == 2
    assert message in capsys.readouterr().err


def test_a_prediction_without_a_name(saved, capsys):
    with pytest.raises(SystemExit):
        run(*saved, "--predictions", "file.json")
    assert "NAME=FILE is needed" in capsys.readouterr().err
