"""Counts, their intervals and grades."""

import dataclasses

from acnet.evaluation.count_model import ScoreMap
from acnet.photos.count import CountRule, PhotoCount
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
