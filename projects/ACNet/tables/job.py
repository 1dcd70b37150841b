"""What the runner tells a measurement, as a file in the run's folder; it also marks whose it is."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acnet.files import write_json

JOB_FILE = "job.json"
FINAL_WEIGHTS = "model_final.pth"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training and its measurement.

    Args:
        config: name of the row's config.
        form: "letter" or "tuned".
        seed: of the training.
        opts: key=value of `train_net.py`.
        folder: of the run.
        record: to be written.
        settings: shared by all rows.
        model: the row's own.
        tests: names of the sets to measure on.
        jobs: trainings that run at a time, which says how to read the time of a step.
    """

    config: str
    form: str
    seed: int
    opts: tuple[str, ...]
    folder: Path
    record: Path
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    tests: tuple[str, ...]
    jobs: int


def write_job(job: Job) -> None:
    """Write a job to its folder.

    Args:
        job: to be written.
    """
    content = dataclasses.asdict(job) | {"folder": str(job.folder), "record": str(job.record)}
    write_json(job.folder / JOB_FILE, content)


def read_job(folder: Path) -> Job:
    """Read the job of a folder.

    Args:
        folder: of the run; it has a job.
    """
    content = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    paths = {name: Path(content[name]) for name in ("folder", "record")}
    lists = {name: tuple(content[name]) for name in ("opts", "tests")}
    return Job(**{**content, **paths, **lists})


def has_job(folder: Path) -> bool:
    """Tell whether something was begun in a folder."""
    return (folder / JOB_FILE).is_file()
