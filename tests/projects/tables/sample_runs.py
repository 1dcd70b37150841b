"""Runs whose programs are a few lines of Python instead of a training and a measurement."""

import json
import textwrap
from pathlib import Path

from acnet.tables.plan import Run
from acnet.tables.record import record_path
from acnet.tables.rows import Row
from tests.tables.sample_records import add_record

TESTS = {"toy_tests_mixed": "toy_tests_mixed"}

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
        row=Row(config=config, data="toy", table=2, key=key, form="letter"),
        seed=seed,
        opts=(),
        folder=folder / "runs" / config / f"seed_{seed}",
        record=record_path(folder / "results", config, seed),
        settings={},
        model={},
        iterations=4,
        tests=TESTS,
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
    return [["-c", head + textwrap.dedent(code)] for code in (train, MEASURE)]
