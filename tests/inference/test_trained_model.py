"""What belongs to weights: found in or beside them, and refused where it does not fit."""

import dataclasses
import functools
import operator
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import acnet
from acnet.checkpoint.bundle import Bundle, write_bundle
from acnet.config import load_config, prediction_config
from acnet.constructors import build
from acnet.errors import UserError
from acnet.evaluation.count_model import write_count_model
from acnet.inference.eager import config_digest
from acnet.inference.predictor import Predictor, load
from acnet.inference.trained_model import find_weights, load_model
from acnet.photos.grid import resize
from tests.evaluation.count_models import count_model
from tests.export.models import picture

REPO_ROOT = Path(__file__).resolve().parents[2]
CONFIG = "toy/acnet_r18"
PHOTO, SQUARE = picture(64, 96), picture(64, 64)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", None), ("bfloat16", torch.bfloat16), ("config", None)]
)
def test_precision_can_be_chosen(tiny_weights, precision, dtype):
    cfg = load_config(CONFIG, ["train.amp.enabled=false"])
    loaded = load_model(tiny_weights, cfg, device="cpu", precision=precision)
    assert loaded.engine.precision.dtype is dtype


def test_unknown_precision_is_refused(tiny_weights):
    with pytest.raises(UserError, match="config, auto, float32, bfloat16, float16"):
        load(tiny_weights, config=CONFIG, precision="int8")


def test_the_bundled_weights_need_nothing_else():
    predictor = acnet.load(device="cpu")
    assert predictor.class_names
    assert predictor.rule.model is not None
    sample = REPO_ROOT / "datasets" / "sample_photos" / "generated_1.jpg"
    count = predictor.count(sample)
    scores = predictor(sample).scores
    assert count.count == int((scores >= predictor.rule.threshold).sum())
    assert count.low <= count.count <= count.high
    assert count.grade is None  # nobody says that these are inflammatory lesions of half a face
    assert predictor.count(PHOTO).count is None  # noise


@pytest.fixture
def run_folder(tmp_path, small_run):
    """Return the folder of a training: weights beside their config."""
    shutil.copy(small_run, tmp_path / "model_final.pth")
    shutil.copy(small_run.with_name("config.yaml"), tmp_path)
    return tmp_path


def test_a_training_is_known_by_its_folder(run_folder):
    predictor = load(run_folder, device="cpu")
    assert len(predictor.class_names) == 3
    assert predictor.rule.model is None
    assert predictor.count(SQUARE).grade is None
    assert load(run_folder / "model_final.pth", device="cpu").identity == predictor.identity
    shutil.copy(run_folder / "model_final.pth", run_folder / "model_best.pth")
    assert find_weights(run_folder).name == "model_best.pth"


def test_a_count_model_beside_a_checkpoint_counts(run_folder):
    model = dataclasses.replace(count_model(threshold=0.4), merge="nms")
    write_count_model(run_folder / "count.json", model)
    predictor = load(run_folder, device="cpu")
    assert predictor.rule.model == model
    assert predictor.count(SQUARE).grade is not None
    assert load(run_folder, score_threshold=0.7, device="cpu").rule.threshold == 0.7
    with pytest.raises(UserError, match=r"leave one of them out\.$"):
        load(run_folder, score_threshold=0.7, count_model=model)


def test_a_count_model_of_another_merging_is_refused(run_folder):
    model = dataclasses.replace(count_model(threshold=0.4), merge="cluster")
    with pytest.raises(UserError, match="fitted to 'cluster', where 'nms' is used"):
        load(run_folder, count_model=model)


SIZED = ["+photos.size_px=48", "+photos.lesion_px=8.0"]


def test_photos_are_seen_at_the_size_that_the_config_says(run_folder):
    options = {"device": "cpu", "precision": "float32"}
    native, as_trained = load(run_folder, **options), load(run_folder, overrides=SIZED, **options)
    assert (native.sizing.name, as_trained.sizing.name) == ("native", "auto")
    fixed = load(run_folder, overrides=SIZED, photo_size=48, **options).detect(PHOTO)
    assert (fixed.photo_size_px, native.detect(PHOTO).photo_size_px) == (48, 96)
    # Twice as small in both directions: what is found lies at half the place there.
    expected = native.detect(resize(PHOTO, 48))
    np.testing.assert_allclose(fixed.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(fixed.boxes_xyxy, expected.boxes_xyxy * 2, atol=1e-3)
    assert as_trained.identity != native.identity
    assert as_trained.saliency(PHOTO, photo_size_px=48).shape == (32, 48)
    assert max(as_trained.saliency(PHOTO).shape) == as_trained.detect(PHOTO).photo_size_px


def test_a_count_model_belongs_to_the_size_at_which_photos_are_seen(run_folder, caplog):
    model = count_model(threshold=0.4)
    write_count_model(run_folder / "count.json", model)
    rule = load(run_folder, overrides=SIZED, device="cpu").rule
    assert (rule.threshold, rule.model) == (0.4, None)
    assert "fitted to 'nms', and 'nms, photo size auto' is asked for" in caplog.text
    with pytest.raises(UserError, match=r"Choose the same --photo-size"):
        load(run_folder, overrides=SIZED, device="cpu", count_model=model)
    native = load(run_folder, overrides=SIZED, device="cpu", photo_size="native")
    assert native.rule.model == model


@pytest.mark.parametrize(
    ("source", "message"),
    [(5, r"Received int; give the path"), ("no-such-name", r"Received --weights no-such-name")],
)
def test_what_is_no_source_is_one_clear_sentence(source, message):
    with pytest.raises(UserError, match=message):
        load(source)


def test_folders_and_names_are_found(tmp_path):
    assert find_weights("acnet-r18-demo") == find_weights(None)
    with pytest.raises(UserError, match=r"which has neither; give the path of a checkpoint\.$"):
        load(tmp_path)


def test_config_and_weights_still_make_a_predictor(tiny_weights):
    with pytest.warns(DeprecationWarning, match=r"acnet\.load\(weights, config=config\)"):
        old = Predictor(CONFIG, tiny_weights, "cpu", precision="float32")
    new = load(tiny_weights, config=CONFIG, device="cpu", precision="float32")
    torch.testing.assert_close(old(SQUARE).scores, new(SQUARE).scores)


def test_every_form_of_a_photo_and_lists_of_them_are_taken(tmp_path, tiny_weights):
    predictor = load(tiny_weights, config=CONFIG, device="cpu")
    path = tmp_path / "photo.png"
    Image.fromarray(SQUARE[:, :, ::-1]).save(path)
    forms = [path, str(path), path.read_bytes(), Image.open(path), SQUARE]
    expected = predictor(SQUARE).scores
    for many in (forms, tuple(forms), iter(forms)):
        answers = predictor(many)
        assert len(answers) == len(forms)
        for answer in answers:
            torch.testing.assert_close(answer.scores, expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match="Received NoneType; give one of these"):
        predictor(None)


@pytest.mark.parametrize(
    ("override", "decides"),
    [
        ("model.roi_heads.box_predictor.test_topk_per_image=7", True),
        ("model.backbone.gate=product", True),
        ("train.amp.enabled=false", True),
        ("train.output_dir=elsewhere", False),
        ("train.max_iter=1", False),
        ("optimizer.lr=1", False),
        ("dataloader.train.total_batch_size=1", False),
    ],
)
def test_training_has_no_say_in_what_a_model_finds(override, decides):
    base = config_digest(load_config(CONFIG, ["train.amp.enabled=auto"]))
    changed = config_digest(load_config(CONFIG, ["train.amp.enabled=auto", override]))
    assert (base != changed) == decides


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("proposal_generator.anchor_generator.strides", [64], "for other strides than"),
        ("proposal_generator.in_features", [], "there are no anchors"),
        ("roi_heads.box_pooler.scales", [0.5], "for other strides than"),
        ("roi_heads.box_in_features", ["res9"], r"do not fit each other \(KeyError"),
        ("roi_heads.box_predictor.num_classes", 2, "boxes are of 2 classes and not 1"),
        ("roi_heads.box_predictor.input_shape.channels", 13, "fails on a blank picture"),
        ("roi_heads.box_predictor.box2box_transform.weights", [1.0], "fails on a blank picture"),
        (None, None, "the names a, b; use the config"),
    ],
)
def test_bundles_whose_parts_do_not_fit_are_refused(place, value, fault, tmp_path):
    content = yaml.safe_load(prediction_config(load_config(CONFIG)))
    names = ("acne",) if place else ("a", "b")
    if place:
        *above, last = place.split(".")
        functools.reduce(operator.getitem, above, content["model"])[last] = value
    state = build(content["model"]).state_dict()
    path = tmp_path / "model.safetensors"
    texts = {"config": yaml.safe_dump(content), "card": "# Card"}
    write_bundle(path, state, Bundle(**texts, class_names=names, count_model=None))
    with pytest.raises(UserError, match=fault) as error:
        load(path, device="cpu")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
