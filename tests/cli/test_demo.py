"""`make demo`: its progress line, its failures, and all of it in a few steps."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import demo
from demo import StepFailedError, evaluation_progress, training_progress
from demo_report import Picture, Section, choose_photos, draw_losses, write_page

from acnet.data.prepared_set import PreparedLayout
from acnet.files import write_json

SCRIPTS = Path(demo.__file__).parent
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


def test_training_shows_iteration_eta_and_losses():
    expected = "  iteration 20/700, ETA 0:07:10, loss 2.177, cls 0.685, attention 0.716"
    assert training_progress(700)(TRAINING_LINE) == expected
    assert training_progress(None)(TRAINING_LINE).startswith("  iteration 20, ETA")


def test_evaluation_shows_photos_and_eta_also_within_training():
    assert evaluation_progress(INFERENCE_LINE) == "  photo 11/200, ETA 0:00:19"
    assert training_progress(700)(INFERENCE_LINE) == "  photo 11/200, ETA 0:00:19"


def test_other_lines_show_nothing():
    assert training_progress(700)("Loading and preparing results...\n") is None


def test_command_is_shown_as_it_can_be_typed(tmp_path, capsys):
    run(tmp_path, sys.executable, "-c", "pass")
    assert f"$ A='b c' {sys.executable} -c pass\n" in capsys.readouterr().err


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


def test_progress_of_a_command_reaches_the_user(tmp_path, capsys):
    code = f"print({INFERENCE_LINE!r})"
    run(tmp_path, sys.executable, "-c", code)
    assert "photo 11/200, ETA 0:00:19\n" in capsys.readouterr().err
    assert INFERENCE_LINE in (tmp_path / "logs" / "step.log").read_text()


def test_photos_with_few_and_many_lesions_are_chosen(tmp_path):
    # Photo i of 0 to 4 has 4 - i lesions: the fewest, the middle and the most.
    layout = PreparedLayout(tmp_path, "toy")
    images = [{"id": i + 1, "file_name": f"{i}.jpg"} for i in range(5)]
    annotations = [{"image_id": i + 1} for i in range(5) for _ in range(4 - i)]
    write_json(layout.annotations("test_0"), {"images": images, "annotations": annotations})
    assert choose_photos(layout, 3) == ["4.jpg", "2.jpg", "0.jpg"]
    assert len(choose_photos(layout, 9)) == 5


def make_demo(tmp_path: Path, *arguments: str) -> demo.Demo:
    return demo.Demo(demo.build_parser().parse_args(["--output", str(tmp_path / "d"), *arguments]))


def test_folder_of_another_demo_is_refused(tmp_path):
    make_demo(tmp_path, "--photos", "50").check_settings()
    make_demo(tmp_path, "--photos", "50").check_settings()
    with pytest.raises(StepFailedError, match='"photos": 50'):
        make_demo(tmp_path, "--photos", "60").check_settings()


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "d").write_text("")
    with pytest.raises(StepFailedError, match="Received the file"):
        make_demo(tmp_path).check_settings()


@pytest.mark.slow
def test_quick_demo_leaves_a_page_that_works_from_the_disk(tmp_path):
    command = [sys.executable, str(SCRIPTS / "demo.py"), "--quick", "--photos", "10"]
    words = [*command, "--output", "demo"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Pictures and all numbers: demo/index.html" in done.stdout
    output = tmp_path / "demo"
    first_look = json.loads((output / "first_look" / "images.json").read_text())
    assert [image["file_name"] for image in first_look["images"]] == [
        "generated_1.jpg",
        "generated_2.jpg",
    ]
    page = (output / "index.html").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) == 5  # two test photos of ten, twice, and the loss curve
    assert all((output / picture).is_file() for picture in pictures)
    results = json.loads((output / "results.json").read_text())
    assert results["test_photos"] == 2
    assert {"AP", "AP50", "AP75", "AP@100", "AP@1000", "FROC-iou"} <= set(results["ap"])
    assert "| AP50 |" in (output / "results.md").read_text()

    # Again: the photos and the training are there, a lost report is made anew.
    shutil.rmtree(output / "pictures")
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "[2/5] photos\n  are ready\n" in again.stderr
    assert "  is finished\n" in again.stderr
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


def test_run_that_was_killed_early_has_an_empty_curve(tmp_path):
    assert draw_curve([], tmp_path / "a.png").shape == (540, 960, 3)


def tables(tmp_path: Path, *sections: Section) -> str:
    write_page(tmp_path / "index.html", "A <title>", sections)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def test_sections_stand_in_order_with_their_parts(tmp_path):
    text = tables(
        tmp_path,
        Section(title="Numbers", text="All of them.", rows=[("AP50", "85.0"), ("AP", "50.0")]),
        Section(title="Pictures", pictures=[Picture("pictures/a.png", "Photo a")]),
    )
    wanted = ["Numbers", "All of them.", "AP50", "85.0", "AP", "50.0", "Pictures", "pictures/a.png"]
    places = [text.index(f">{word}<" if "/" not in word else word) for word in wanted]
    assert places == sorted(places)


def test_names_cannot_break_the_page(tmp_path):
    nasty = "<script>\"&'"
    text = tables(
        tmp_path, Section(title=nasty, rows=[(nasty, nasty)], pictures=[Picture(nasty, nasty)])
    )
    assert "<script>" not in text
    assert 'src="%3Cscript%3E%22%26%27"' in text


def test_page_is_well_formed_and_asks_nobody(tmp_path):
    text = tables(tmp_path, Section(title="Empty"))
    body = text[text.index("<body>") : text.index("</html>")]
    assert [element.tag for element in ElementTree.fromstring(body)] == ["h1", "section"]
    assert "://" not in text
    assert "<table>" not in text
