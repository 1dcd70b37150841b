"""The count model and its file, and the shares that its intervals are judged by."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.evaluation.count_fit import conformal_share_range, share
from acnet.evaluation.count_model import (
    LESIONS,
    VIEWS,
    Domain,
    ScoreMap,
    check_merge,
    conformal_rank,
    parse_count_model,
    read_count_model,
    write_count_model,
)
from tests.evaluation.coco_content import detections_of
from tests.evaluation.count_models import count_model

SCORES = ScoreMap(method="Platt", scores=(0.1, 0.9), shares=(0.0, 0.5))
MODEL = dataclasses.replace(
    count_model(merge="soft_nms-linear", threshold=0.4, quantile=1.5),
    probability=SCORES,
    domain=Domain(mean=(0.5,) * 30, scale=(1.0,) * 30, limit=1.5),
)


def test_counts_and_intervals_by_hand():
    # The threshold, 0.4, is inclusive; photos 1 and 3 are empty.
    detections = detections_of([0, 0, 2], [0.4, 0.39, 0.9])
    assert MODEL.count(detections, 4).tolist() == [1, 0, 1, 0]
    # 1.5 * sqrt(count + 1): 1.5, 3, 4.5, so 1, 3 and 4 whole lesions to either side; from 0.
    low, high = MODEL.interval(np.array([0, 3, 8]))
    assert low.tolist() == [0, 0, 4]
    assert high.tolist() == [1, 6, 12]


@pytest.mark.parametrize("error", [1, 2, 3, 5, 7])
def test_the_photo_that_set_the_quantile_is_inside_its_own_interval(error):
    # error / sqrt(n) * sqrt(n) may be a little below the error.
    for count in range(200):
        model = dataclasses.replace(MODEL, quantile=error / np.sqrt(count + 1))
        assert model.interval(np.array([count]))[1] == count + error


def test_a_count_model_of_another_merging_is_refused():
    check_merge(MODEL, "soft_nms-linear", source="count.json")
    with pytest.raises(UserError, match=r"count\.json, fitted to 'soft_nms-linear', where 'nms'"):
        check_merge(MODEL, "nms", source="count.json")


def test_file_and_back(tmp_path):
    path = tmp_path / "new" / "count.json"
    write_count_model(path, MODEL)
    assert read_count_model(path) == MODEL
    assert json.loads(path.read_text())["format"] == "acnet count model"
    # A score map is linear between its points and flat beyond.
    assert SCORES(np.array([0.9, 0.5, 0.0, 1.0])) == pytest.approx([0.5, 0.25, 0, 0.5])


DOMAIN, PLAIN = dataclasses.asdict(MODEL.domain), dataclasses.asdict(SCORES)
NO_DOMAINS = ({"scale": [1] * 29 + [0]}, {"limit": [1.0]}, {"mean": [1e10] * 30})
NO_SCORE_MAPS = (
    *({"shares": shares} for shares in ([0.5, 0.4], [0.5, 1.1], [0.5])),
    *({"scores": scores} for scores in ([0.5, 0.5], ["0.1", 0.5], [0, 1] * 501)),
    {"scores": 0.5, "shares": 0.5},
    {"method": 1},
)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": "recipe"}, "does not say 'format'"),
        ({"version": 3}, "of version 3, where 1 and 2 are known"),
        ({"threshold": None}, "threshold is None"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"coverage": 1.0}, "coverage is 1.0"),
        ({"coverage": True}, "coverage is True"),
        ({"quantile": -1.0}, "quantile is -1.0"),
        ({"interval_photos": 0}, "interval_photos is 0"),
        ({"interval_photos": 8}, "8 photos cannot promise a coverage of 0.9"),
        ({"fit_photos": 1.5}, "fit_photos is 1.5"),
        ({"merge": ""}, "merge is ''"),
        ({"view": "knee"}, "view is 'knee'"),
        ({"lesions": ["all"]}, "lesions is a list"),
        ({"probability": 0.5}, "probability is 0.5"),
        ({"domain": {"mean": [0], "scale": [1], "limit": 1.0}}, "domain is "),
        ({"extra": 1}, "extra is missing or unknown"),
        *(({"probability": PLAIN | change}, "probability is ") for change in NO_SCORE_MAPS),
        *(({"domain": DOMAIN | change}, "domain is ") for change in NO_DOMAINS),
    ],
)
def test_a_changed_file_is_refused(change, fault):
    with pytest.raises(UserError, match=fault):
        parse_count_model(json.dumps(json.loads(MODEL.to_json()) | change), source="count.json")


def test_a_file_of_version_1_says_not_what_its_photos_show():
    content = {**json.loads(MODEL.to_json()), "version": 1}
    del content["view"], content["lesions"], content["probability"], content["domain"]
    model = parse_count_model(json.dumps(content), source="count.json")
    assert (model.view, model.lesions, model.has_grade) == ("unknown", "unknown", False)


def test_only_inflammatory_lesions_of_half_a_face_have_hayashi_s_grade():
    pairs = itertools.product(VIEWS, LESIONS)
    graded = [pair for pair in pairs if count_model(view=pair[0], lesions=pair[1]).has_grade]
    assert graded == [("half face", "inflammatory")]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe"])
def test_what_is_no_count_model_is_refused(tmp_path, content):
    path = tmp_path / "count.json"
    with pytest.raises(UserError, match=r"count\.json, which cannot be read.*acnet calibrate"):
        read_count_model(path)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"count\.json, "):
        read_count_model(path)


def test_wilson_s_interval_by_hand():
    # 8 of 10, z = 1.959964: centre (0.8 + z^2/20) / (1 + z^2/10) = 0.716740,
    # half width z / (1 + z^2/10) * sqrt(0.8 * 0.2 / 10 + z^2/400) = 0.226578
    found = share(8, 10)
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((0.490162, 0.943318), abs=2e-6)
    # At 0 hits the upper end is z^2 / (n + z^2).
    assert (share(0, 20).low, share(20, 20).high) == (0, 1)
    assert share(0, 20).high == pytest.approx(3.841459 / (20 + 3.841459), abs=1e-6)
    # A lower level narrows it.
    assert share(90, 100).low < share(90, 100, level=0.8).low < 0.9


@pytest.mark.parametrize(("calibration", "photos"), [(9, 40), (50, 7), (30, 30)])
def test_the_range_is_that_of_simulated_errors(calibration, photos):
    rng = np.random.default_rng(0)
    rank = conformal_rank(calibration, 0.9)
    errors = rng.uniform(size=(20_000, calibration + photos))
    quantiles = np.sort(errors[:, :calibration], axis=1)[:, rank - 1 : rank]
    hits = (errors[:, calibration:] <= quantiles).sum(axis=1)
    low, high = conformal_share_range(calibration, 0.9, photos)
    assert round(low * photos) == pytest.approx(np.quantile(hits, 0.025), abs=1)
    assert round(high * photos) == np.quantile(hits, 0.975)
    # With one error as the quantile (rank 1 of 1) the next is at most that with probability 1/2,
    # so of one new photo both 0 and 1 are to be expected.
    assert conformal_share_range(1, 0.5, 1) == (0, 1)
    # Almost nothing is promised by the smallest error already.
    assert conformal_share_range(21, 1e-27, 50) == conformal_share_range(21, 1 / 22, 50)
