"""`acnet predict` for programs, and under torchrun."""

import json
from unittest.mock import Mock

import pytest

from acnet.inference import MergeOptions, Predictor, TilingOptions
from acnet.photos.read import MAX_MEGAPIXELS
from tests.cli.predicting import predict, read_counts, save_noise


def test_json_is_all_that_is_written_to_stdout(tmp_path, photos, weights, capfd):
    (photos / "broken.jpg").write_bytes(b"")
    out = tmp_path / "out"
    options = ["--json", "--score-threshold", 0.4, "--output", out]
    assert predict(photos, "--weights", weights, *options) == 1
    document = json.loads(capfd.readouterr().out)
    assert [photo["photo"] for photo in document["photos"]] == ["a.png", "b.jpg"]
    assert [failure["photo"] for failure in document["failed"]] == ["broken.jpg"]
    counts = [int(row["count"]) for row in read_counts(out)]
    assert [len(photo["lesions"]) for photo in document["photos"]] == counts
    assert document["photos"][0]["files"]["picture"] == "pictures/a.jpg"
    assert document["count_model"] is None


def test_a_large_photo_goes_through_in_tiles(tmp_path, weights, capsys):
    save_noise(tmp_path / "photo.png", 96, 160)
    options = ["--tile-size", 96, "--tile-overlap", 32, "--tile-batch", 2]
    options += ["--max-detections", 3, "--output", tmp_path / "out"]
    assert predict(tmp_path / "photo.png", "--weights", weights, *options) == 0
    info = json.loads((tmp_path / "out" / "images.json").read_text())["info"]
    assert info["merge"] == "nms"
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 3


def test_help_names_the_defaults_of_the_library(capsys):
    with pytest.raises(SystemExit):
        predict("--help")
    shown = " ".join(capsys.readouterr().out.split())
    tiling = TilingOptions()
    assert f"or whole; default {tiling.tile_px}, and whole" in shown
    assert f"that tiles share; default {tiling.overlap_px}" in shown
    assert f"at once; default {tiling.batch_size}" in shown
    assert f"in a cut photo; default {MergeOptions().max_detections}" in shown
    assert f"memory's sake; default {MAX_MEGAPIXELS:g}" in shown


def test_interrupted_run_says_that_it_goes_on(tmp_path, photos, weights, monkeypatch, capsys):
    monkeypatch.setattr(Predictor, "detect", Mock(side_effect=KeyboardInterrupt))
    assert predict(photos, "--weights", weights, "--output", tmp_path / "out") == 130
    assert "the same command goes on from here" in capsys.readouterr().err


@pytest.mark.slow
def test_torchrun_splits_the_photos(run_python, tmp_path, photos, weights):
    for number in range(4):
        save_noise(photos / f"more_{number}.png", 64, 64)
    (photos / "broken.jpg").write_bytes(b"")
    out, alone = tmp_path / "out", tmp_path / "alone"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "acnet.cli.main", "predict", photos, "--weights", weights]
    # A photo could not be read, and torchrun turns the first process' status into its own.
    said = run_python(*torchrun, *words, "--output", out, cwd=tmp_path, status=1)
    assert "lesions (score 0.5 or more) in 6 photos" in said
    assert predict(photos, "--weights", weights, "--output", alone) == 1
    for name in ("predictions.json", "images.json", "failed.csv"):
        assert (out / name).read_text() == (alone / name).read_text(), name
