"""Records as a measurement writes them, of made-up numbers, and runs of short programs."""

import functools
import json
from pathlib import Path

import numpy as np

from acnet.config import load_config
from projects.ACNet.tables.plan import Run
from projects.ACNet.tables.record import RESAMPLED, model_settings, record_path, write_record
from projects.ACNet.tables.rows import Row

REPLICATES = 200
SHOWN = {"photos": 100, "lesions": 835}
TESTS = ("toy_tests_mixed", "toy_tests_colour")
SETTINGS = {
    "results version": 1,
    "data": "0123456789abcdef",
    "iterations": 400,
    "images a batch": 4,
    "optimizer": {"lr": 0.02},
    "schedule": {"end_value": 0},
    "precision": "bfloat16",
    "start": "random weights",
    "overrides": [],
}


@functools.cache
def model_of(config: str) -> dict:
    """The model's settings of a config of ours."""
    return model_settings(load_config(config))


def add_record(
    results: Path, config: str, seed: int, value: float, *, form: str = "paper", **changes
) -> Path:
    """Write a record in which every number is `value`, and varies over photos by one percent.

    Rows with the same seed have the same photos; `changes` are those to `SETTINGS`.
    """
    rng = np.random.default_rng(0)
    drawn = value + rng.normal(size=(REPLICATES, 1)).repeat(len(RESAMPLED), axis=1)
    numbers = dict.fromkeys(RESAMPLED, value)
    path = record_path(results, config, seed)
    content = {
        "row": config,
        "form": form,
        "seed": seed,
        "settings": SETTINGS | changes,
        "model": model_of(config),
        "size": {"image_hw": [320, 320], "parameters": 5_250_000, "gmacs": 3.25},
        "tests": {name: {**SHOWN, "data": name, "numbers": numbers} for name in TESTS},
        "curve": {"iteration": [199, 399], "total_loss": [2.0, 1.0], "bbox/AP50": [None, value]},
        "times": {"seconds_a_step": 0.5},
        "machine": {"processor": "a CPU", "cores": 2, "threads": 1, "gpu": None, "jobs": 2},
        "versions": {"acnet": "0.1.0"},
        "source": "abc",
    }
    write_record(path, content, dict.fromkeys(TESTS, drawn))
    return path


# Trains four iterations; goes on where its file of metrics ends.
TRAIN = """
import json, pathlib, time
path = pathlib.Path(FOLDER) / "metrics.json"
done = len(path.read_text().splitlines()) if path.is_file() else 0
for iteration in range(done, 4):
    with path.open("a") as file:
        file.write(json.dumps({"iteration": iteration}) + "\\n")
    time.sleep(SECONDS)
(path.parent / "model_0000003.pth").touch()
(path.parent / "model_final.pth").touch()
"""
# Its record is there already, under another name.
MEASURE = """
import pathlib, shutil
record = pathlib.Path(RECORD)
record.parent.mkdir(parents=True, exist_ok=True)
for suffix in (".npz", ".json"):
    shutil.copy(pathlib.Path(MEASURED).with_suffix(suffix), record.with_suffix(suffix))
"""
FAIL = """
print("the loss became infinite")
raise SystemExit(3)
"""


def make_run(folder: Path, key: str, seed: int) -> Run:
    """A run of Table II in small, with its records in the same folder."""
    config = f"toy/table2/{key}"
    return Run(
        row=Row(config=config, data="toy", table=2, key=key, form="paper"),
        seed=seed,
        opts=(),
        folder=folder / "runs" / config / f"seed_{seed}",
        record=record_path(folder / "results", config, seed),
        settings={},
        model={},
        iterations=4,
        tests={"toy_tests_mixed": "toy_tests_mixed"},
    )


def programs(run: Run, seconds: float = 0.0, failing: tuple[str, ...] = ()) -> list[list[str]]:
    """The two programs of a run; those of failing rows end with status 3."""
    values = {
        "FOLDER": str(run.folder),
        "SECONDS": seconds,
        "RECORD": str(run.record),
        "MEASURED": str(add_record(run.folder, run.row.config, run.seed, 30.0)),
    }
    head = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    train = FAIL if run.row.key in failing else TRAIN
    return [["-c", head + code] for code in (train, MEASURE)]
