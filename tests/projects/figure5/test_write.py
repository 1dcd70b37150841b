"""The page of Fig. 5: as many boxes as it says, for each model, and nothing from the network."""

import json
import re

import cv2
import numpy as np
import pytest
from example_report import made_up

from acnet.errors import UserError
from acnet.evaluation.columns import sort_detections
from acnet.visualization.figure5 import SaliencyModel, write_figure5
from tests.visualization.report.results import silence


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Ground truth of 12 made-up photos, two models, and grey photos of these sizes."""
    truth, found = made_up(12, seed=0)
    keep = np.arange(len(found)) % 3 > 0
    weaker = sort_detections(
        photo=found.photo[keep],
        classes=found.classes[keep],
        boxes_xywh=found.boxes_xywh[keep],
        scores=found.scores[keep],
    )
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


def test_as_many_boxes_are_drawn_as_the_captions_say(case, tmp_path):
    page, numbers = write(tmp_path, case)
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    photos = [photo for key in ("gains", "losses", "random") for photo in numbers[key]]
    assert len(figures) == 3 * len(photos) > 0  # ground truth, baseline, ACNet
    for photo, panels in zip(photos, zip(*[iter(figures)] * 3, strict=True), strict=True):
        truth, *models = panels
        assert drawn(truth) == ({"truth": photo["lesions"]} if photo["lesions"] else {})
        for said, panel in zip(photo["models"], models, strict=True):
            kinds = {"found": "matched", "missed": "missed", "false": "false"}
            assert f"<strong>{said['name']}</strong>" in panel
            assert f"{said['matched']} found, {said['missed']} missed" in panel
            for kind, key in kinds.items():
                assert drawn(panel).get(kind, 0) == said[key]


def test_the_whole_set_stands_beside_the_chosen_photos(case, tmp_path):
    page, numbers = write(tmp_path, case)
    truth = case[0]
    assert numbers["photos"] == truth.num_photos == sum(numbers["changes"].values())
    for model in numbers["models"]:
        assert model["matched"] + model["missed"] == truth.counts().sum()
        assert f"{model['AP50']:.1f}</data>" in page
    assert numbers["models"][0]["AP50"] < numbers["models"][1]["AP50"]


def test_saliency_of_two_models_on_the_photos_from_above(case, tmp_path):
    def flat(value):
        return lambda path: np.full((10, 10), value) if path.is_file() else None

    models = [SaliencyModel("supervised", flat(0.9)), SaliencyModel("left alone", flat(0.5))]
    page, numbers = write(tmp_path, case, saliency_models=models)
    photos = [photo for key in ("gains", "losses", "random") for photo in numbers[key]]
    for photo in photos:
        assert [panel["name"] for panel in photo["saliency"]] == ["supervised", "left alone"]
        assert [panel["outside"] for panel in photo["saliency"]] == pytest.approx([0.9, 0.5])
    assert page.count("data:image/png") == 2 * len(photos)
    assert "linear-gradient" in page  # the one scale of all maps


def test_the_page_asks_nobody_and_is_the_same_again(case, tmp_path):
    page, _ = write(tmp_path / "a", case, command="acnet figure5 <gt>")
    again, _ = write(tmp_path / "b", case, command="acnet figure5 <gt>")
    assert page == again
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert "acnet figure5 &lt;gt&gt;" in page


def test_a_silent_model_misses_everything(case, tmp_path):
    truth, predictions, root = case
    both = {"silence": silence(), "ACNet": predictions["ACNet"]}
    _, numbers = write(tmp_path, (truth, both, root))
    assert numbers["models"][0]["missed"] == truth.counts().sum()
    assert numbers["losses"] == []


def test_one_model_is_no_comparison(case, tmp_path):
    truth, predictions, root = case
    with pytest.raises(UserError, match=r"two or more\. Received 1; give"):
        write(tmp_path, (truth, {"ACNet": predictions["ACNet"]}, root))


def test_a_photo_that_is_not_there(case, tmp_path):
    truth, predictions, _ = case
    with pytest.raises(UserError, match="which is not there"):
        write(tmp_path, (truth, predictions, tmp_path))
