"""`make demo`: its progress line, its failures, and all of it in a few steps."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import demo
from demo import StepFailedError, evaluation_progress, training_progress
from demo_report import Folders, choose_photos, draw_losses, write_report

from acnet.files import write_json, write_text

TRAINING_LINE = (
    "[11/23 08:30:30 d2.utils.events]:  eta: 0:07:10  iter: 19  total_loss: 2.177  loss_cls: 0.6846"
    "  loss_attention: 0.7162    time: 0.7277  last_time: 0.7  data_time: 0.08   lr: 0.005  \n"
)
INFERENCE_LINE = (
    "[11/23 08:30:30 d2.evaluation.evaluator]: Inference done 11/200. Dataloading: 0.0003 s/iter. "
    "Inference: 0.10 s/iter. Eval: 0.0001 s/iter. Total: 0.1 s/iter. ETA=0:00:19\n"
)


def run(tmp_path: Path, *command: str) -> None:
    demo.run(command, {"A": "b c"}, tmp_path / "logs" / "step.log", evaluation_progress)


@pytest.mark.parametrize(
    ("progress", "line", "shown"),
    [
        (
            training_progress(700),
            TRAINING_LINE,
            "  iteration 20/700, ETA 0:07:10, loss 2.177, cls 0.685, attention 0.716",
        ),
        (training_progress(None), TRAINING_LINE, "  iteration 20, ETA"),
        (training_progress(700), INFERENCE_LINE, "  photo 11/200, ETA 0:00:19"),
        (evaluation_progress, INFERENCE_LINE, "  photo 11/200, ETA 0:00:19"),
        (training_progress(700), "Loading and preparing results...\n", ""),
    ],
)
def test_progress_is_read_from_lines_of_the_log(progress, line, shown):
    assert (progress(line) or "").startswith(shown)
    assert bool(progress(line)) == bool(shown)


def test_the_command_as_it_can_be_typed_and_its_progress_reach_the_user(tmp_path, capsys):
    code = f"print({INFERENCE_LINE!r})"
    run(tmp_path, sys.executable, "-c", code)
    shown = capsys.readouterr().err
    assert shown.startswith(f"$ A='b c' {shlex.join([sys.executable, '-c', code])}\n")
    assert "photo 11/200, ETA 0:00:19\n" in shown
    assert INFERENCE_LINE in (tmp_path / "logs" / "step.log").read_text()


def test_failure_names_the_command_and_ends_its_log(tmp_path):
    code = "import sys; print(*range(30), sep='\\n'); print('last words', file=sys.stderr); exit(3)"
    with pytest.raises(StepFailedError) as failure:
        run(tmp_path, sys.executable, "-c", code)
    message = str(failure.value)
    assert "exit status 3" in message
    assert sys.executable in message
    assert str(tmp_path / "logs" / "step.log") in message
    assert message.endswith("  | last words")
    assert "  | 10\n" not in message


def made_demo(folder: Path, lesions: int = 5) -> Folders:
    """Write what the demo's commands leave of five photos: photo i has `lesions` - i lesions.

    All are found, but for those of the second photo, which has one that is none.
    """
    folders = Folders(output=folder, run=folder / "run", evaluation=folder / "evaluation")
    images = [
        {"id": i + 1, "file_name": NAMES[i], "width": 99, "height": 90, "photo_size_px": 99}
        for i in range(5)
    ]
    boxes = [(i + 1, [10.0 * j, 20.5, 8.0, 9.0]) for i in range(5) for j in range(lesions - i)]
    truth = [{"image_id": i, "category_id": 1, "bbox": box} for i, box in boxes]
    found = [{**row, "score": 0.9} for row in truth if row["image_id"] != 2]
    found += [{"image_id": 2, "category_id": 1, "bbox": [70, 70, 9, 9], "score": 0.75}]
    found += [{"image_id": 3, "category_id": 1, "bbox": [70, 70, 9, 9], "score": 0.25}]
    contents = {"images": images, "categories": [{"id": 1, "name": "acne"}]}
    for tiles in (False, True):
        path = folders.layout.annotations("test_0", tiles=tiles)
        write_json(path, {**contents, "annotations": truth})
    write_json(folders.evaluation / "coco_instances_results.json", found)
    write_json(folders.predictions / "predictions.json", found)
    write_json(folders.predictions / "images.json", contents)
    write_text(folders.predictions / "counts.csv", "seconds\n" + 5 * "0.5\n")
    write_text(folders.run / "metrics.json", json.dumps({"iteration": 1, "total_loss": 2.0}) + "\n")
    return folders


NAMES = ["0.jpg", "1.jpg", "<script>\"&'.jpg", "3.jpg", "4.jpg"]
RESULTS = {
    "ap": {"AP50": 85.0},
    "count": {"score_threshold": 0.5, "MAE": 1.0, "bias": -1.0},
    "iterations": 2,
    "training_minutes": 0.1,
    "test_photos": 5,
    "test_lesions": 15,
    "seconds_per_photo": 0.5,
    "gpu": "H100",
    "config": "toy",
    "overrides": [],
    "seed": 42,
}


def test_the_photos_with_the_most_mistakes_and_even_ones_of_the_others_are_chosen(tmp_path):
    folders = made_demo(tmp_path)
    assert choose_photos(folders, 3, 1) == (["0.jpg", "3.jpg", "4.jpg"], ["1.jpg"])
    assert choose_photos(folders, 9, 9) == (["0.jpg", *NAMES[2:]], ["1.jpg"])  # a third at most


def test_the_page_shows_what_was_found_then_what_was_not_then_numbers(tmp_path):
    typical, worst = choose_photos(folders := made_demo(tmp_path), 4, 1)
    write_report(folders, RESULTS, "make <demo>", typical=typical, worst=worst)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    wanted = ["What it can do", *map(escape, typical), "What it cannot do", "1.jpg", "AP50"]
    places = [text.index(f">{word}<") for word in wanted]
    assert places == sorted(places)
    remarks = re.findall('<p class="fitted">(.*)</p>', text)
    assert remarks == [
        *(f"{n} are there, 0 of them missed; 0 false" for n in (5, 3, 2, 1)),
        "4 are there, 4 of them missed; 1 false",
    ]
    assert text.count('<rect class="truth"') == 5 + 3 + 2 + 1 + 4
    assert text.count("data-score=") == 5 + 4 + 2 + 1 + 1
    assert 'type="range"' in text
    assert 'data-attention="predictions/attention/0.jpg"' in text
    assert 'src="predictions/thumbnails/%3Cscript%3E%22%26%27.jpg"' in text
    assert text.count("<script>") == 1
    assert "make &lt;demo&gt;" in text
    assert "://" not in text


def make_demo(tmp_path: Path, *arguments: str) -> demo.Demo:
    return demo.Demo(demo.build_parser().parse_args(["--output", str(tmp_path / "d"), *arguments]))


def test_folder_of_another_demo_and_a_file_in_its_place_are_refused(tmp_path):
    make_demo(tmp_path, "--photos", "50").check_settings()
    make_demo(tmp_path, "--photos", "50").check_settings()
    with pytest.raises(StepFailedError, match='"photos": 50'):
        make_demo(tmp_path, "--photos", "60").check_settings()
    shutil.rmtree(tmp_path / "d")
    (tmp_path / "d").write_text("")
    with pytest.raises(StepFailedError, match="Received the file"):
        make_demo(tmp_path).check_settings()


@pytest.mark.slow
def test_quick_demo_leaves_a_page_that_works_from_the_disk(tmp_path, run_python):
    words = [demo.__file__, "--quick", "--photos", "10", "--output", "demo"]
    assert "Pictures and all numbers: demo/index.html" in run_python(*words, cwd=tmp_path)
    output = tmp_path / "demo"
    first_look = json.loads((output / "first_look" / "images.json").read_text())
    names = [image["file_name"] for image in first_look["images"]]
    assert names == ["generated_1.jpg", "generated_2.jpg"]
    page = (output / "index.html").read_text()
    pictures = re.findall(r' src="([^"]+)"', page)
    assert len(pictures) == 3  # two test photos of ten, and the loss curve
    assert all((output / picture).is_file() for picture in pictures)
    results = json.loads((output / "results.json").read_text())
    assert results["test_photos"] == 2
    assert {"AP", "AP50", "AP75", "AP@100", "AP@1000", "FROC-iou"} <= set(results["ap"])
    assert "| AP50 |" in (output / "results.md").read_text()

    # Again: the photos and the training are there, a lost report is made anew.
    (output / "loss_curve.png").unlink()
    shutil.rmtree(output / "predictions")
    again = run_python(*words, cwd=tmp_path)
    assert "[2/5] photos\n  are ready\n" in again
    assert "  is finished\n" in again
    assert json.loads((output / "results.json").read_text())["ap"] == results["ap"]
    assert all((output / picture).is_file() for picture in pictures)


def draw_curve(rows, path):
    draw_losses(rows, path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_losses_are_drawn_and_other_rows_skipped(tmp_path):
    rows = [{"iteration": i, "total_loss": 3.0 / (i + 1), "loss_cls": 1.0} for i in range(5)]
    with_losses = draw_curve(rows, tmp_path / "a.png")
    np.testing.assert_array_equal(
        draw_curve([*rows, {"iteration": 9, "bbox/AP": 5.0}], tmp_path / "b.png"), with_losses
    )
    other = draw_curve([{**row, "total_loss": 1.0} for row in rows], tmp_path / "c.png")
    assert np.abs(other - with_losses).max() > 100
    assert draw_curve([], tmp_path / "d.png").shape == (540, 960, 3)  # of a run killed early
