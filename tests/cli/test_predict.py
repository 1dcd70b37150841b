"""`acnet predict` as a user or a program runs it, and torchrun, with a toy model."""

import contextlib
import io
import json
from unittest.mock import Mock

import pytest
from PIL import Image
from pycocotools.coco import COCO

from acnet.inference import MergeOptions, Predictor, TilingOptions, load
from acnet.inference.optimize import NOTHING, Optimizations
from acnet.photos.read import MAX_MEGAPIXELS
from tests.cli.predicting import CONFIG, files_below, predict, read_counts, save_noise


def test_folder_of_photos_becomes_pictures_and_tables(tmp_path, photos, weights, capsys):
    out = tmp_path / "out"
    assert predict(photos, "--weights", weights, "--output", out, "--score-threshold", 0.4) == 0
    assert files_below(out) == [
        "counts.csv",
        "images.json",
        "index.html",
        "lesions.csv",
        "photos/a.jpg",
        "photos/b.jpg",
        "pictures/a.jpg",
        "pictures/b.jpg",
        "predictions.json",
        "thumbnails/a.jpg",
        "thumbnails/b.jpg",
    ]
    with Image.open(out / "pictures" / "a.jpg") as picture:
        assert picture.size == (960, 640)  # 96 x 64, ten times as large
    shown = capsys.readouterr()
    total = sum(int(row["count"]) for row in read_counts(out))
    assert f"{total} lesions (score 0.4 or more) in 2 photos\n" in shown.out
    assert "predicting: 100%" in shown.err


def test_predictions_are_coco_results_of_what_the_predictor_finds(tmp_path, photos, weights):
    # Counts are of scores at or above the threshold; the rows hold the lower scores too.
    out = tmp_path / "out"
    instances = load(weights, config=weights.with_name("config.yaml"))(photos / "a.png")
    threshold = float(instances.scores.median())
    predict(photos, "--weights", weights, "--output", out, "--score-threshold", threshold)
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(str(out / "images.json")).loadRes(str(out / "predictions.json"))
    images = [(i["id"], i["file_name"], i["width"], i["height"]) for i in loaded.imgs.values()]
    assert images == [(1, "a.png", 96, 64), (2, "b.jpg", 64, 96)]
    assert loaded.cats == {1: {"id": 1, "name": "acne"}}
    assert {row["category_id"] for row in loaded.anns.values()} == {1}
    rows = loaded.imgToAnns[1]
    x0, y0, x1, y1 = instances.pred_boxes.tensor[0].tolist()
    assert rows[0]["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
    assert [row["score"] for row in rows] == pytest.approx(instances.scores.tolist())
    counted = (instances.scores >= threshold).sum().item()
    assert 0 < counted < len(rows)
    assert read_counts(out)[0]["count"] == str(counted)


@pytest.mark.parametrize(
    ("options", "optimizations"),
    [
        ([], Optimizations()),
        (["--no-optimize"], NOTHING),
        (["--compile"], Optimizations(compile=True)),
    ],
)
def test_optimised_unless_told_otherwise(
    tmp_path, photos, weights, monkeypatch, options, optimizations
):
    see = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr("acnet.inference.predictor.load", see)
    assert predict(photos, "--weights", weights, "--output", tmp_path / "out", *options) == 130
    assert see.call_args.kwargs["optimize"] == optimizations


def test_results_have_a_default_place_and_one_is_one(
    tmp_path, photos, weights, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    keep_one = ["--opts", "model.roi_heads.box_predictor.test_topk_per_image=1"]
    options = ["--weights", weights, "--score-threshold", 0, *keep_one]
    assert predict(photos / "a.png", *options) == 0
    assert "1 lesion (score 0 or more) in 1 photo\nwritten to results: " in capsys.readouterr().out
    assert (tmp_path / "results" / "index.html").is_file()


def test_unreadable_photos_are_left_out_and_listed(tmp_path, photos, weights, capsys):
    out = tmp_path / "out"
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "aa_truncated.jpg").write_bytes((photos / "b.jpg").read_bytes()[:500])
    assert predict(photos, "--weights", weights, "--output", out) == 1
    assert [row["photo"] for row in read_counts(out)] == ["a.png", "b.jpg"]
    assert files_below(out / "pictures") == ["a.jpg", "b.jpg"]
    errors = capsys.readouterr().err
    assert errors.endswith("left out, 2:\n  aa_truncated.jpg\n  empty.jpg\n")
    images = json.loads((out / "images.json").read_text())["images"]
    assert [(image["id"], image["file_name"]) for image in images] == [(1, "a.png"), (3, "b.jpg")]


def test_attention_of_a_model_without_it_is_refused(tmp_path, photos, weights, monkeypatch, capsys):
    monkeypatch.setattr(Predictor, "has_saliency", False)
    status = predict(photos, "--weights", weights, "--output", tmp_path / "out", "--attention")
    assert status == 2
    assert capsys.readouterr().err.rstrip().endswith("leave --attention out.")


def test_large_photos_are_left_out_with_the_remedy_and_tables_may_be_empty(
    tmp_path, photos, weights, caplog
):
    limit = ["--max-megapixels", "0.006"]  # 96 x 64 = 6,144 pixels
    assert predict(photos, "--weights", weights, "--output", tmp_path / "out", *limit) == 1
    assert "raise --max-megapixels" in caplog.text
    assert read_counts(tmp_path / "out") == []
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == []


def test_config_can_be_named_and_changed_and_nothing_found_is_a_result_too(
    tmp_path, photos, weights
):
    out = tmp_path / "out"
    keep_one = "model.roi_heads.box_predictor.test_topk_per_image=1"
    options = ["--config-file", CONFIG, "--opts", keep_one, "train.amp.enabled=false"]
    options += ["--score-threshold", 1]
    assert predict(photos, "--weights", weights, "--output", out, *options) == 0
    assert len(json.loads((out / "predictions.json").read_text())) == 2
    assert [row["count"] for row in read_counts(out)] == ["0", "0"]


def test_the_config_and_what_is_missing_for_intervals_are_said_once(
    tmp_path, photos, weights, caplog
):
    with caplog.at_level("INFO", logger="acnet"):
        predict(photos, "--weights", weights, "--output", tmp_path / "out")
    assert f"Config: {weights.with_name('config.yaml')}, beside the weights" in caplog.text
    assert caplog.text.count("acnet calibrate") == 1
    for row in read_counts(tmp_path / "out"):
        assert row["low"] == row["high"] == row["grade"] == ""


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("photos/c.jpg --weights {weights}", "check its spelling."),
        ("no_photos --weights {weights}", ".webp."),
        ("photos --weights {weights}.none", "or give --weights FILE."),
        ("photos --weights a_file --config-file toy/acnet_r18", "copy it again."),
        ("photos --weights alone.pth", "Add --config-file NAME, such as toy/acnet_r18."),
        ("photos --weights {weights} --output a_file", "name another place."),
        ("photos --weights {weights} --tile-size 96 --tile-overlap 96", "smaller than the tile"),
        ("photos --weights {weights} --opts model.nonsense=1", "must name a key of the config"),
        ("photos --count-model x.json --score-threshold 0.5", "leave one of them out"),
        ("photos --share --attention", "leave one of them out"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_mistakes_end_with_their_remedy(tmp_path, weights, words, remedy, monkeypatch, capsys):
    (tmp_path / "no_photos").mkdir()
    (tmp_path / "a_file").write_text("text")
    (tmp_path / "alone.pth").write_bytes(weights.read_bytes())  # without the config beside it
    monkeypatch.chdir(tmp_path)
    assert predict(*words.format(weights=weights).split()) == 2
    assert remedy in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "bad",
    [
        ["--score-threshold", "1.5"],
        ["--score-threshold", "nan"],
        ["--score-threshold", "half"],
        ["--max-megapixels", "0"],
        ["--device", "gpu"],
        ["--labels", "some"],
    ],
)
def test_impossible_values_are_refused_before_anything_is_loaded(tmp_path, photos, bad, capsys):
    with pytest.raises(SystemExit) as stop:
        predict(photos, "--weights", "x.pth", "--output", tmp_path / "out", *bad)
    assert stop.value.code == 2
    assert bad[0] in capsys.readouterr().err


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
