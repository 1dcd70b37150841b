"""The bundled weights: small, described, and good for something at once."""

from pathlib import Path

import pytest

from acnet.checkpoint.bundle import read_bundle, resolve_weights
from acnet.inference import load

MOST_BYTES = 12e6
REPO_ROOT = Path(__file__).resolve().parents[1]
SAMPLES = sorted((REPO_ROOT / "datasets" / "sample_photos").glob("*.jpg"))


@pytest.fixture(scope="module")
def weights() -> Path:
    """Return what `acnet predict` uses where it is told nothing."""
    return resolve_weights(None)


def test_they_are_the_default_and_small(weights):
    assert weights.name == "acnet-r18-demo.safetensors"
    assert weights.stat().st_size <= MOST_BYTES


def test_their_card_says_what_they_are_and_are_not(weights):
    card = read_bundle(weights).card
    assert card == (REPO_ROOT / "weights" / "acnet-r18-demo.md").read_text(encoding="utf-8")
    for words in ("research only", "not a medical device", "Trained on", "Fails on", "AP50"):
        assert words in card


def test_they_find_lesions_in_the_sample_photos(weights):
    predictor = load(weights, device="cpu")
    found = [predictor(str(photo)) for photo in SAMPLES]
    assert len(SAMPLES) == 2
    assert all(len(one[one.scores >= 0.5]) > 0 for one in found)
