"""Figure 5: the chosen photos, the saliency, the page and the command."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from detectron2.config import LazyConfig, instantiate
from example_report import made_up
from omegaconf import OmegaConf

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import load_config
from acnet.engine.train import build_model
from acnet.errors import UserError
from acnet.evaluation.result import PhotoRow
from projects.ACNet.figure5.__main__ import main
from projects.ACNet.figure5.figure import (
    SaliencyModel,
    choose,
    contrast,
    gains,
    heat_data_uri,
    legend_css,
    write_figure5,
)
from tests.cli.evaluation_files import read, save_set
from tests.evaluation.coco_content import detections_of
from tests.visualization.report.results import photo_row


def rows(*errors: tuple[int, int]) -> list[PhotoRow]:
    """Return rows of (false, missed)."""
    return [
        photo_row(index, matched=9 - missed, false=false, missed=missed)
        for index, (false, missed) in enumerate(errors)
    ]


# Errors of the first model, the second and the difference, photo by photo:
#   0: 4, 1, +3   1: 2, 2, 0   2: 0, 2, -2   3: 5, 2, +3   4: 1, 0, +1   5: 1, 4, -3   6: 0, 0, 0
FIRST = rows((1, 3), (2, 0), (0, 0), (5, 0), (0, 1), (1, 0), (0, 0))
SECOND = rows((0, 1), (0, 2), (2, 0), (1, 1), (0, 0), (0, 4), (0, 0))


def test_the_largest_differences_in_both_directions():
    assert gains(FIRST, SECOND).tolist() == [3, 0, -2, 3, 1, -3, 0]
    chosen = choose(FIRST, SECOND, each=1, seed=0)
    assert chosen["gains"] == [0]  # of two photos with 3 the earlier
    assert chosen["losses"] == [5]
    chosen = choose(FIRST, SECOND, each=3, seed=0)
    assert chosen["gains"] == [0, 3, 4]
    assert chosen["losses"] == [5, 2]  # there is no third; a tie is no loss
    assert chosen["random"] == [1, 6]
    other = choose(SECOND, FIRST, each=3, seed=0)  # changing sides changes signs
    assert (other["gains"], other["losses"]) == (chosen["losses"], chosen["gains"])
    assert choose([], [], each=2, seed=0) == {"gains": [], "losses": [], "random": []}


def test_chance_takes_what_is_left_and_the_seed_decides():
    same = rows(*[(0, 1)] * 50)
    picks = {tuple(choose(same, same, each=2, seed=seed)["random"]) for seed in range(20)}
    assert len(picks) > 10
    assert choose(same, same, each=2, seed=3) == choose(same, same, each=2, seed=3)
    for seed in range(20):
        chosen = choose(FIRST, SECOND, each=2, seed=seed)
        shown = [*chosen["gains"], *chosen["losses"], *chosen["random"]]
        assert len(shown) == len(set(shown)) == 6


def pixels(uri: str) -> np.ndarray:
    """Decode a data URI as RGB."""
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), -1)[..., ::-1]


def test_one_scale_for_every_map():
    # viridis ends in #440154 and #fde725. A flat map keeps its place on the scale: nothing is
    # stretched to the map's own range.
    ends = pixels(heat_data_uri(np.array([[0.0, 1.0]])))
    assert ends.tolist() == [[[0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25]]]
    low, high = (pixels(heat_data_uri(np.full((2, 2), value))) for value in (0.2, 0.8))
    assert low[0, 0].astype(int).sum() < high[0, 0].astype(int).sum()
    assert legend_css().startswith("linear-gradient(to right, #440154, ")
    assert legend_css().endswith("#fde725)")
    # A large map becomes small and keeps its shape.
    assert pixels(heat_data_uri(np.zeros((640, 320)))).shape == (320, 160, 3)
    assert pixels(heat_data_uri(np.zeros((3, 2000)))).shape == (1, 320, 3)


@pytest.mark.parametrize(
    ("saliency", "boxes", "image_hw", "inside", "outside"),
    [
        # A map of 2 x 4 over a photo of 20 x 40: a value for 10 x 10 pixels. The box from (10, 0)
        # to (30, 10) holds the centres of the second and third of the upper row:
        # (0.8 + 0.6) / 2 = 0.7. The other six: (0.1 + 0.1 + 4 * 0.4) / 6 = 0.3.
        ([[0.1, 0.8, 0.6, 0.1], [0.4] * 4], [[10, 0, 30, 10]], (20, 40), 0.7, 0.3),
        # Overlapping boxes count once.
        ([[1.0, 0.0]], [[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 20, 10]], (10, 20), 0.5, None),
        ([[0.25, 0.25]] * 2, np.zeros((0, 4)), (16, 16), None, 0.25),
    ],
)
def test_contrast_by_hand(saliency, boxes, image_hw, inside, outside):
    found = contrast(np.array(saliency), np.array(boxes), image_hw)
    assert found == {"inside": pytest.approx(inside), "outside": pytest.approx(outside)}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Ground truth of 12 made-up photos, two models, and grey photos of these sizes."""
    truth, found = made_up(12, seed=0)
    keep = np.arange(len(found)) % 3 > 0
    weaker = detections_of(found.photo[keep], found.scores[keep], found.boxes_xywh[keep])
    root = tmp_path_factory.mktemp("photos")
    for name, (height, width) in zip(truth.file_names, truth.image_hw.tolist(), strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), np.full((height, width, 3), 128, np.uint8))
    return truth, {"baseline": weaker, "ACNet": found}, root


def write(folder, case, **options):
    truth, predictions, root = case
    page = write_figure5(folder, truth, predictions, photos_root=root, **options)
    return page.read_text(encoding="utf-8"), json.loads((folder / "figure5.json").read_text())


def drawn(svg: str) -> dict[str, int]:
    """Return how many boxes of each kind a drawing has."""
    paths = re.findall(r'<path class="box (\w+)" d="([^"]+)"', svg)
    return {kind: path.count("M") for kind, path in paths}


def flat(value: float):
    """Return the saliency of a model that sees the same everywhere in a photo that is there."""
    return lambda path: np.full((10, 10), value) if path.is_file() else None


def test_as_many_boxes_are_drawn_as_the_captions_say_and_the_whole_set_is_counted(case, tmp_path):
    models = [SaliencyModel("supervised", flat(0.9)), SaliencyModel("left alone", flat(0.5))]
    options = {"saliency_models": models, "command": "acnet figure5 <gt>"}
    page, numbers = write(tmp_path / "a", case, **options)
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    photos = [photo for key in ("gains", "losses", "random") for photo in numbers[key]]
    assert len(figures) == 6 * len(photos) > 0  # truth, baseline, ACNet; truth and two maps
    rows_of_three = [iter(figures[: 3 * len(photos)])] * 3
    for photo, panels in zip(photos, zip(*rows_of_three, strict=True), strict=True):
        truth, *of_models = panels
        assert drawn(truth) == ({"truth": photo["lesions"]} if photo["lesions"] else {})
        for said, panel in zip(photo["models"], of_models, strict=True):
            kinds = {"found": "matched", "missed": "missed", "false": "false"}
            assert f"<strong>{said['name']}</strong>" in panel
            assert f"{said['matched']} found, {said['missed']} missed" in panel
            for kind, key in kinds.items():
                assert drawn(panel).get(kind, 0) == said[key]
        assert [panel["name"] for panel in photo["saliency"]] == ["supervised", "left alone"]
        assert [panel["outside"] for panel in photo["saliency"]] == pytest.approx([0.9, 0.5])
    assert page.count("data:image/png") == 2 * len(photos)
    assert "linear-gradient" in page  # the one scale of all maps
    truth = case[0]
    assert numbers["photos"] == truth.num_photos == sum(numbers["changes"].values())
    for model in numbers["models"]:
        assert model["matched"] + model["missed"] == truth.counts().sum()
        assert f"{model['AP50']:.1f}</data>" in page
    assert numbers["models"][0]["AP50"] < numbers["models"][1]["AP50"]
    # It asks nobody, and is the same again.
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert "acnet figure5 &lt;gt&gt;" in page
    assert write(tmp_path / "b", case, **options)[0] == page


def test_a_silent_model_misses_everything_and_what_cannot_be_compared_is_refused(case, tmp_path):
    truth, predictions, root = case
    both = {"silence": detections_of([], []), "ACNet": predictions["ACNet"]}
    _, numbers = write(tmp_path, (truth, both, root))
    assert numbers["models"][0]["missed"] == truth.counts().sum()
    assert numbers["losses"] == []
    found = sum(lesions > 0 for lesions in truth.counts().tolist())
    assert numbers["changes"]["more"] == 0 < numbers["changes"]["fewer"] <= found
    with pytest.raises(UserError, match=r"two or more\. Received 1; give"):
        write(tmp_path, (truth, {"ACNet": predictions["ACNet"]}, root))
    with pytest.raises(UserError, match="which is not there"):
        write(tmp_path, (truth, predictions, tmp_path))


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
        *(truth, "--predictions", f"baseline={weak}", f"ACNet={strong}"),
        *("--image-root", tmp_path / "photos", "--output", tmp_path / "page"),
    ]


def run(*arguments) -> int:
    return main(list(map(str, arguments)))


def test_a_page_of_two_models_and_the_saliency_of_a_training(saved, tmp_path, capsys):
    cfg = load_config("toy/acnet_r18", ["train.amp.enabled=false"])
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))  # beside the weights
    ACNetCheckpointer(build_model(cfg), tmp_path).save("model_final")
    weights = tmp_path / "model_final.pth"
    assert run(*saved, "--photos", 1, "--saliency", f"random weights={weights}") == 0
    assert "index.html" in capsys.readouterr().out
    numbers = read(tmp_path / "page" / "figure5.json")
    assert [model["name"] for model in numbers["models"]] == ["baseline", "ACNet"]
    (photo,) = numbers["random"]
    assert photo["saliency"][0]["name"] == "random weights"
    assert 0 < photo["saliency"][0]["outside"] < 1


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
    with pytest.raises(SystemExit):
        run(*saved, "--predictions", "file.json")
    assert "NAME=FILE is needed" in capsys.readouterr().err


def test_only_the_weight_of_the_attention_loss_differs():
    acnet = load_config("toy/tuned/table2/acnet")
    unsupervised = load_config("toy/figure5/mask_unsupervised")
    assert instantiate(unsupervised.model).backbone.loss_weight == 0
    assert instantiate(acnet.model).backbone.loss_weight == 0.2
    del unsupervised.model.backbone.loss_weight, acnet.model.backbone.loss_weight
    unsupervised.train.output_dir = acnet.train.output_dir
    one, other = (OmegaConf.to_yaml(cfg, sort_keys=True) for cfg in (unsupervised, acnet))
    assert one == other
