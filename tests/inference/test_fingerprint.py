"""What decides a result changes its hash, and nothing else does."""

import os

import pytest

from acnet.config import load_config
from acnet.files import file_sha256
from acnet.inference.fingerprint import config_digest, digest, photo_digest, versions
from acnet.inference.sources import Source

CONFIG = "toy/acnet_r18"


def test_equal_content_has_one_hash():
    assert digest({"a": 1, "b": [2, None]}) == digest({"b": [2, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_functions_stand_for_their_names():
    assert digest([os.path.join]) == digest([os.path.join])
    assert digest([os.path.join]) != digest([os.path.split])


def test_a_file_is_hashed_whole(tmp_path):
    (tmp_path / "a").write_bytes(bytes(5_000_000))
    (tmp_path / "b").write_bytes(bytes(4_999_999) + b"x")
    assert file_sha256(tmp_path / "a") != file_sha256(tmp_path / "b")


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
def test_training_has_no_say(override, decides):
    base = config_digest(load_config(CONFIG, ["train.amp.enabled=auto"]))
    changed = config_digest(load_config(CONFIG, ["train.amp.enabled=auto", override]))
    assert (base != changed) == decides


def test_a_photo_is_known_by_name_time_size_and_ends(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(300_000))
    os.utime(path, (1, 1))
    first = photo_digest(Source(path, "a.jpg", "a"))
    assert photo_digest(Source(path, "a.jpg", "a")) == first
    assert photo_digest(Source(path, "a.jpg", "b")) != first
    os.utime(path, (2, 2))
    assert photo_digest(Source(path, "a.jpg", "a")) != first
    for place in (0, 299_999):
        content = bytearray(300_000)
        content[place] = 1
        path.write_bytes(content)
        os.utime(path, (1, 1))
        assert photo_digest(Source(path, "a.jpg", "a")) != first


def test_a_photo_that_is_not_there_has_a_hash_too(tmp_path):
    missing = Source(tmp_path / "no.jpg", "no.jpg", "no")
    assert photo_digest(missing) == photo_digest(missing)


def test_versions_are_those_that_compute():
    assert {"acnet", "torch", "pillow"} <= versions().keys()
    assert versions(["no-such-package"])["no-such-package"] == ""
