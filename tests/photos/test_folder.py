"""Going on: what is done is not done again, what changed is, and a kill costs a photo or two."""

import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from acnet.data.readers.formats import open_source
from acnet.evaluation.count_model import NUM_TRAITS
from acnet.photos import worker
from acnet.photos.draw import DrawingOptions
from acnet.photos.folder import SMALLEST_LIMIT, collect
from acnet.photos.photo_records import Part, PartStore
from acnet.photos.read import read_photo_file
from acnet.photos.results import CountRule
from acnet.photos.sources import Source, without_folders
from acnet.photos.worker import Job
from tests.photos.bright_square import BrightSquare, contents, make_photos, photo, predict

PROCESS = Path(__file__).with_name("predict_process.py")


@pytest.fixture
def photos(tmp_path) -> Path:
    return make_photos(tmp_path / "photos", *(f"{name}.png" for name in "abcde"))


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def calls(photos: Path, out: Path, *, identity: str = "these weights", **options) -> int:
    """Return for how many photos the model is asked."""
    predictor = BrightSquare(identity=identity)
    assert predict(photos, out, predictor, **options) is not None
    return predictor.calls


def start(*arguments: object, rank: int | None = None, size: int = 1) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != "RANK"}
    if rank is not None:
        environment |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    words = [sys.executable, str(PROCESS), *map(str, arguments)]
    return subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)


def photos_of(out: Path, rank: int) -> int:
    log = out.with_name(f"{out.name}.rank{rank}.log")
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_next_photo_is_read_while_one_is_predicted(photos, out, monkeypatch):
    read_ahead = threading.Semaphore(0)

    def before(photo_bgr):
        if predictor.calls < 5:
            assert read_ahead.acquire(timeout=30)

    def read(path, **options):
        if Path(path).stem != "a":
            read_ahead.release()
        return read_photo_file(path, **options)

    predictor = BrightSquare(before)
    monkeypatch.setattr(worker, "read_photo_file", read)
    assert predict(photos, out, predictor) is not None
    assert predictor.calls == 5


def test_a_second_run_asks_nothing_draws_what_is_lost_and_removes_halves(photos, out):
    assert calls(photos, out) == 5
    first = contents(out)
    halves = [out / ".predictions.0123456789ab.tmp.json", out / "crops" / ".a.ffff00001111.tmp.jpg"]
    for path in halves:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    (out / "schematics" / "photo_0003.svg").unlink()
    assert calls(photos, out) == 0
    assert contents(out) == first


def test_changed_and_new_photos_are_done_again_and_removed_ones_go(photos, out):
    drawing = DrawingOptions(labels="never")
    calls(photos, out, drawing=drawing)
    photo(size_wh=(64, 64)).save(photos / "b.png")
    (photos / "a.png").rename(photos / "f.png")
    assert calls(photos, out, drawing=drawing) == 2
    images = json.loads((out / "images.json").read_text())["images"]
    assert [image["width"] for image in images] == [64, 48, 48, 48, 48]
    assert sorted(path.stem for path in (out / "pictures").iterdir()) == list("bcdef")


def test_copies_are_read_back_though_a_photo_of_the_same_stem_is_unreadable(photos, out):
    (photos / "a.jpg").write_bytes(b"")
    outcome = predict(photos, out, drawing=DrawingOptions(labels="never"))
    assert [one.name for one in outcome.failed] == ["a.jpg"]
    source = open_source(out)
    assert source.splits["predictions"] == ("a.png.jpg", *(f"{name}.jpg" for name in "bcde"))
    assert source.read("a.png.jpg").image_hw == (32, 48)


def test_other_weights_do_everything_again_and_other_thresholds_count_anew(photos, out):
    assert predict(photos, out).results[0].count.count == 1
    assert predict(photos, out, BrightSquare(threshold=0.8)).results[0].count.count == 0
    assert calls(photos, out, identity="other weights") == 5
    assert len(list((out / ".parts").iterdir())) == 5  # the old ones are gone
    assert len(list((out / "schematics").iterdir())) == 5  # and took no picture of these with them


def test_other_pictures_are_drawn_without_asking_the_model(photos, out):
    drawing = DrawingOptions(labels="never")
    assert calls(photos, out, drawing=drawing) == 5
    assert calls(photos, out, drawing=dataclasses.replace(drawing, suffix=".png")) == 0
    assert sorted(path.stem for path in (out / "pictures").glob("*.png")) == list("abcde")


@pytest.mark.parametrize("die_at", [1, 3, 5])
def test_a_kill_costs_the_photos_under_way(photos, out, die_at):
    assert start(photos, out, "--die-at", die_at).wait() == -9
    assert not (out / "predictions.json").exists()
    # The one before may not have been written yet.
    assert calls(photos, out) - (5 - (die_at - 1)) in (0, 1)
    whole = out.with_name("whole")
    predict(photos, whole)
    assert contents(out) == contents(whole)


def test_a_mended_photo_is_tried_again(photos, out):
    whole = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(whole[:40])
    outcome = predict(photos, out)
    assert [failure.name for failure in outcome.failed] == ["photo 0002"]
    assert (out / "failed.csv").exists()
    (photos / "b.png").write_bytes(whole)
    assert calls(photos, out) == 1
    assert not (out / "failed.csv").exists()


def test_two_processes_share_the_photos_and_the_first_merges(photos, out):
    processes = [start(photos, out, "--seconds", 0.5, rank=rank, size=2) for rank in (0, 1)]
    assert [process.wait() for process in processes] == [0, 0]
    shares = [photos_of(out, rank) for rank in (0, 1)]
    assert sum(shares) == 5
    whole = out.with_name("whole")
    predict(photos, whole)
    assert contents(out) == contents(whole)
    assert {path.suffix for path in (out / ".parts").iterdir()} == {".json"}


def test_what_a_killed_process_left_is_done_when_it_is_run_again(photos, out):
    # The second of two is killed in its first photo, b, before the first has begun.
    assert start(photos, out, "--die-at", 1, rank=1, size=2).wait() == -9
    first = start(photos, out, rank=0, size=2)
    while first.poll() is None and len(list((out / ".parts").glob("*.json"))) < 3:
        time.sleep(0.1)
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(timeout=1)  # waits for b and d, until torchrun ends it
    first.kill()
    first.wait()
    assert photos_of(out, 0) == 3
    assert calls(photos, out) == 2


def test_a_killed_first_process_loses_its_own_photos_only(photos, out):
    assert start(photos, out, "--die-at", 2, rank=0, size=2).wait() == -9
    assert start(photos, out, rank=1, size=2).wait() == 0  # does its own, and merges nothing
    assert not (out / "images.json").exists()
    assert calls(photos, out) in (2, 3)


@pytest.mark.parametrize("name", ["photos/a.png", "./photos/a.png", "{absolute}/photos/a.png"])
def test_reasons_do_not_say_where_a_photo_is(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "photos", "a.png")
    path = Path(name.format(absolute=tmp_path))
    text = f"Received {path}: cannot read {path.resolve()!r} in {path.resolve().parent}"
    reason = without_folders(text, Source(path, "a.png", "a"))
    assert str(tmp_path) not in reason
    assert reason.startswith("Received a.png: cannot read")


@pytest.mark.parametrize(
    ("rows", "weakest", "is_told"),
    [
        (SMALLEST_LIMIT, 0.5, True),  # all that was kept counts: there may be more
        (SMALLEST_LIMIT, 0.49, False),  # the weakest does not count, and neither would others
        (SMALLEST_LIMIT - 1, 0.5, False),  # too few to have been cut off
        (0, 0.0, False),
    ],
)
def test_a_photo_at_the_limit_is_named(tmp_path, caplog, rows, weakest, is_told):
    store = PartStore(tmp_path)
    scores = [0.9] * (rows - 1) + [weakest] * (rows > 0)
    found = [{"category_id": 1, "bbox": [0.0, 0.0, 1.0, 1.0], "score": score} for score in scores]
    known = {"image_hw": (5, 7), "seconds": 0.5, "photo_size_px": 7, "drawn": "now"}
    store.write("key", Part(rows=found, traits=[0.0] * NUM_TRAITS, **known))
    job = Job(image_id=1, source=Source(tmp_path / "a.jpg", "a.jpg", "a"), key="key")
    with caplog.at_level(logging.WARNING, logger="acnet"):
        (result,), _ = collect([job], store, CountRule(threshold=0.5))
    assert result.count.count == sum(score >= 0.5 for score in scores)
    assert ("a.jpg may hold more lesions" in caplog.text) == is_told
