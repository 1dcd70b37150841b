"""Every command and the Python example of the README are run, in a folder as a user has it."""

import re
import shutil
from pathlib import Path

import pytest
from detectron2.config import LazyConfig
from PIL import Image

from acnet.cli.main import main
from acnet.config import load_config
from tests.test_documents import REPO_ROOT, commands

README = (REPO_ROOT / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", README, flags=re.MULTILINE))
# `.ci/run` runs the tests in a fresh clone; tests/cli/test_demo.py runs the demo in a few steps.
RUN_BY_CI = [["make", "demo"], ["make", "test"]]
FEW_STEPS = [
    "dataloader.train.num_workers=0",
    "dataloader.test.num_workers=0",
    "dataloader.train.total_batch_size=2",
    "train.amp.enabled=false",
    "train.checkpointer.period=2",
    "train.eval_period=0",
    "train.max_iter=3",
]
# What a test adds to a command, so that it takes seconds.
SHORTER = {
    ("acnet", "data", "toy"): ["--photos", "10", "--size", "96"],
    ("acnet", "train"): FEW_STEPS,
    ("python", "projects/ACNet/train_net.py"): [*FEW_STEPS, "train.overwrite=true"],
    ("torchrun", "--nproc-per-node"): [*FEW_STEPS, "train.overwrite=true"],
}


def commands_of(section: str) -> list[list[str]]:
    return [words for words in commands(SECTIONS[section]) if words not in RUN_BY_CI]


@pytest.fixture
def run(run_python, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs a command of the README in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))

    def command(words: list[str]) -> None:
        added = next((SHORTER[key] for key in SHORTER if tuple(words[: len(key)]) == key), [])
        words = [*words, *added]
        if words[0] == "acnet" and words[1] != "train":
            assert main(words[1:]) == 0
            return
        # The paper's size takes hours on a CPU; the small config takes the same way.
        words = ["toy/acnet_r18" if word == "acne04/acnet_r101" else word for word in words]
        words = [str(REPO_ROOT / word) if word.startswith("projects/") else word for word in words]
        module = {"acnet": "acnet.cli.main", "torchrun": "torch.distributed.run"}.get(words[0])
        run_python(*(["-m", module] if module else []), *words[1:], cwd=tmp_path)

    return command


def test_every_section_with_commands_has_its_test() -> None:
    with_commands = {title for title in SECTIONS if list(commands(SECTIONS[title]))}
    assert with_commands == {"Install", "Photos", "Train", "Evaluate"}


def test_install(run) -> None:
    for words in RUN_BY_CI:
        assert words in list(commands(SECTIONS["Install"]))
    assert "make test" in (REPO_ROOT / ".ci" / "run").read_text()
    assert (REPO_ROOT / "tests" / "cli" / "test_demo.py").is_file()
    for words in commands_of("Install"):
        run(words)


def test_photos(run, tmp_path: Path, tiny_weights: Path) -> None:
    sample = REPO_ROOT / "datasets" / "sample_photos" / "generated_1.jpg"
    (tmp_path / "photos").mkdir()
    shutil.copy(sample, tmp_path / "photos")
    shutil.copy(sample, tmp_path / "photo.jpg")
    trained = tmp_path / "output" / "demo" / "run"
    trained.mkdir(parents=True)
    shutil.copy(tiny_weights, trained / "model_final.pth")
    LazyConfig.save(load_config("toy/acnet_r18"), str(trained / "config.yaml"))
    for words in commands_of("Photos"):
        run(words)
        assert {"index.html", "counts.csv", "predictions.json"} <= {
            path.name for path in (tmp_path / "results").iterdir()
        }
    [example] = re.findall(r"```python\n(.*?)```", SECTIONS["Photos"], flags=re.DOTALL)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert len(names["instances"]) > 0


@pytest.mark.slow
def test_train(run, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        for kind in ("images", "labels"):
            (tmp_path / "acne.v3i.yolov8" / split / kind).mkdir(parents=True)
        Image.linear_gradient("L").save(tmp_path / "acne.v3i.yolov8" / split / "images" / "a.jpg")
        label = tmp_path / "acne.v3i.yolov8" / split / "labels" / "a.txt"
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    for words in commands_of("Train"):
        run(words)
    assert (tmp_path / "output" / "toy" / "acnet_r18" / "model_final.pth").is_file()
    assert (tmp_path / "datasets" / "acne" / "manifest.json").is_file()


def test_evaluate(run, tmp_path: Path) -> None:
    from tests.cli.evaluation_files import save_as_predict_does

    save_as_predict_does(tmp_path, 30, seed=0)
    truth, predictions = save_as_predict_does(tmp_path / "validation", 30, seed=1)
    truth.rename(tmp_path / "gt_val.json")
    predictions.parent.rename(tmp_path / "val")
    shutil.copytree(tmp_path / "results", tmp_path / "baseline")
    for words in commands_of("Evaluate"):
        run(words)
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "count.json").is_file()
