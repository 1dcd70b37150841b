"""Counts, their intervals and grades."""

import dataclasses

import cv2
import numpy as np
import pytest

from acnet.evaluation.count_fit import fit_domain
from acnet.evaluation.count_model import NUM_TRAITS, ScoreMap
from acnet.photos.count import UNLIKE, CountRule, PhotoCount, photo_traits
from tests.evaluation.count_models import count_model

MODEL = count_model(quantile=2.0)


def test_without_a_count_model_there_is_a_count_and_nothing_else():
    assert CountRule(threshold=0.5)([0.9, 0.5, 0.49]) == PhotoCount(count=2)


def test_with_a_count_model_there_are_interval_and_grade():
    # 8 lesions: 2 * sqrt(8 + 1) = 6 to each side; 8 are more than 5 and at most 20: moderate.
    rule = CountRule(threshold=MODEL.threshold, model=MODEL)
    assert rule([0.6] * 8 + [0.4]) == PhotoCount(
        count=8, low=2, high=14, grade=1, counted="inflammatory lesions, half face"
    )


def test_no_grade_where_hayashi_s_limits_do_not_apply():
    # They are for inflammatory lesions on half of the face (Hayashi et al., 2008).
    rule = CountRule(model=count_model(quantile=2.0, view="whole face", lesions="all"))
    assert rule([0.6] * 8) == PhotoCount(count=8, low=2, high=14, counted="all lesions, whole face")


def test_nothing_found_is_a_count_too():
    rule = CountRule(threshold=MODEL.threshold, model=MODEL)
    assert rule([]) == PhotoCount(
        count=0, low=0, high=2, grade=0, counted="inflammatory lesions, half face"
    )


def test_probabilities_stand_beside_the_scores_where_they_were_fitted():
    score_map = ScoreMap(method="Platt", scores=(0.0, 1.0), shares=(0.0, 0.5))
    rule = CountRule(model=dataclasses.replace(MODEL, probability=score_map))
    assert rule.with_probabilities([{"score": 0.9}]) == [{"score": 0.9, "probability": 0.45}]
    assert rule.with_probabilities([]) == []
    assert CountRule().with_probabilities([{"score": 0.9}]) == [{"score": 0.9}]


def skin(seed: int, side: int = 96) -> np.ndarray:
    """Return a soft patch of one of many skin colours, with a little noise."""
    rng = np.random.default_rng(seed)
    tone = np.array([120, 150, 200]) * rng.uniform(0.7, 1.1)
    light = cv2.GaussianBlur(rng.normal(0, 60, (side, side, 1)), (0, 0), side / 6)[..., None]
    return (tone + light + rng.normal(0, 2, (side, side, 3))).clip(0, 255).astype(np.uint8)


def document() -> np.ndarray:
    page = np.full((400, 300, 3), 245, np.uint8)
    for y in range(20, 390, 16):
        cv2.putText(page, "what the photo says", (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 30)
    return page


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def landscape() -> np.ndarray:
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[:45], picture[45:] = (230, 170, 110), (40, 140, 60)
    return picture


def test_photos_unlike_those_of_the_count_model_get_no_count():
    traits = np.array([photo_traits(skin(seed)) for seed in range(60)])
    rule = CountRule(model=dataclasses.replace(MODEL, domain=fit_domain(traits)))
    for picture in (document(), noise(), landscape(), np.zeros((1, 1, 3), np.uint8)):
        assert rule([0.9], photo_traits(picture)) == PhotoCount(count=None, note=UNLIKE)
    new = [rule([0.9], photo_traits(skin(seed))).count for seed in range(60, 160)]
    assert new.count(1) >= 85
    assert rule([0.9]).count == 1  # nothing is known of the photo
    assert CountRule(model=MODEL)([0.9], photo_traits(noise())).count == 1


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 700), (900, 3), (128, 128)])
def test_every_photo_has_traits(image_hw):
    traits = photo_traits(np.full((*image_hw, 3), 90, np.uint8))
    assert traits.shape == (NUM_TRAITS,)
    assert np.isfinite(traits).all()


def test_traits_hardly_depend_on_the_resolution():
    small = skin(0, 160)
    larger = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert photo_traits(larger) == pytest.approx(photo_traits(small), abs=0.5)
