"""Records as a measurement writes them, of made-up numbers."""

import functools
from pathlib import Path

import numpy as np

from acnet.config import load_config
from acnet.tables.numbers import RESAMPLED
from acnet.tables.record import record_path, write_record
from acnet.tables.settings import model_settings

REPLICATES = 200
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
    results: Path, config: str, seed: int, value: float, *, form: str = "letter", **changes
) -> Path:
    """Write a record in which every number is `value`, and varies over photos by one percent.

    Args:
        results: folder of the records.
        config: of the row.
        seed: of the training; rows with the same seed have the same photos.
        value: in percent.
        form: of the row.
        changes: to `SETTINGS`.
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
        "tests": {
            name: {"data": name, "photos": 100, "lesions": 835, "numbers": numbers}
            for name in TESTS
        },
        "curve": {
            "iteration": [199, 399],
            "total_loss": [2.0, 1.0],
            "bbox/AP50": [None, value],
        },
        "times": {"seconds_a_step": 0.5},
        "machine": {"processor": "a CPU", "cores": 2, "threads": 1, "gpu": None, "jobs": 2},
        "versions": {"acnet": "0.1.0"},
        "source": "abc",
    }
    write_record(path, content, dict.fromkeys(TESTS, drawn))
    return path
