"""What has to be trained and on which sets it is measured: every row with every seed."""

import dataclasses
import hashlib
import json
import logging
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import instantiate
from detectron2.data import DatasetCatalog
from omegaconf import DictConfig, OmegaConf

from acnet.cli.main import main as acnet_main
from acnet.config import dataset_names
from acnet.data.prepared_set import TOY_TESTS, TOY_TESTS_PREFIX, PreparedLayout, datasets_root
from acnet.data.register import register_all, register_paths
from acnet.errors import UserError
from acnet.evaluation.evaluator import registered_truth
from acnet.files import write_json
from projects.ACNet.tables.record import (
    STEP_TIME,
    Record,
    check_equal,
    model_settings,
    read_record,
    record_path,
    shared_settings,
)
from projects.ACNet.tables.rows import Row

logger = logging.getLogger(__name__)

JOB_FILE = "job.json"
PACE_ITERATIONS = 60
THIS = "this command"
# The toy photos of `make demo`, which the rows are trained on.
TOY_PHOTOS = ("--photos", 1000, "--size", 320, "--seed", 42)
TOY_IMPORT = ("--format", "acne04", "--tiles", "--splits", "*_0")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row with one seed."""

    row: Row
    seed: int
    opts: tuple[str, ...]  # key=value of its `train_net.py`
    folder: Path  # of its checkpoints
    record: Path
    settings: Mapping[str, Any]  # shared by all rows
    model: Mapping[str, Any]  # the row's own
    iterations: int
    tests: Mapping[str, str]  # digest of each test set, by name

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.row.config}, seed {self.seed}"

    def is_measured(self) -> bool:
        """Tell whether there is a record, of the same settings, on all of the test sets."""
        if not self.record.is_file():
            return False
        return self.tests.items() <= read_record(self.record).digests.items()

    def write(self) -> None:
        """Write the run to its folder, where the measurement reads it; it marks whose this is."""
        content = dataclasses.asdict(self)
        paths = {"folder": str(self.folder), "record": str(self.record)}
        write_json(self.folder / JOB_FILE, content | paths)


def read_run(folder: Path) -> Run:
    """Read what `Run.write` wrote to a run's folder."""
    content = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    content["row"] = Row(**content["row"])
    content["opts"] = tuple(content["opts"])
    content |= {name: Path(content[name]) for name in ("folder", "record")}
    return Run(**content)


def plan_runs(
    cfgs: Mapping[Row, DictConfig],
    *,
    tests: Sequence[str],
    seeds: Sequence[int],
    overrides: Sequence[str],
    output: Path,
    results: Path,
) -> list[Run]:
    """Plan the trainings: the first seed of all rows, then the second, and so on.

    A row whose config means the same as an earlier one's, as Table III's L2-L4 with DCE means
    Table II's (h), is not trained again.

    The configs have all overrides applied, and their data sets are registered. The first of the
    tests is also the one that a training evaluates on.
    """
    digests = {name: truth_digest(name) for name in tests}
    data = _train_data(cfgs.values())
    runs: list[Run] = []
    for row, cfg in cfgs.items():
        digest, images = data[_train_names(cfg)]
        iterations = _iterations(cfg, images)
        settings = shared_settings(
            cfg, iterations=iterations, train_data=digest, overrides=overrides
        )
        model = model_settings(cfg)
        if any(one.model == model and one.settings == settings for one in runs):
            continue
        for seed in seeds:
            folder = output / "runs" / row.config / f"seed_{seed}"
            run = Run(
                row=row,
                seed=seed,
                opts=_opts(overrides, seed, folder, tests[0]),
                folder=folder,
                record=record_path(results, row.config, seed),
                settings=settings,
                model=model,
                iterations=iterations,
                tests=digests,
            )
            runs.append(run)
    return sorted(runs, key=lambda run: seeds.index(run.seed))


def pace_run(run: Run, *, output: Path, results: Path) -> Run:
    """Plan the short training that times a row; its record has no test set."""
    folder = output / "pace" / run.row.config / f"seed_{run.seed}"
    return dataclasses.replace(
        run,
        opts=(*run.opts, *_length(PACE_ITERATIONS), f"train.output_dir={folder}"),
        folder=folder,
        record=record_path(results / "pace", run.row.config, run.seed),
        settings=run.settings | {"iterations": PACE_ITERATIONS},
        iterations=PACE_ITERATIONS,
        tests={},
    )


def of_equal_time(run: Run, pace: Run, seconds: int) -> Run:
    """Give a run as many iterations as its row does in some seconds, by the record of its pace."""
    iterations = max(1, round(seconds / read_record(pace.record).content["times"][STEP_TIME]))
    shared = {name: value for name, value in run.settings.items() if name != "iterations"}
    return dataclasses.replace(
        run,
        opts=(*run.opts, *_length(iterations)),
        settings=shared | {"seconds": seconds},
        iterations=iterations,
    )


def _length(iterations: int) -> tuple[str, str]:
    return f"train.max_iter={iterations}", f"train.eval_period={iterations}"


def _opts(overrides: Sequence[str], seed: int, folder: Path, test: str) -> tuple[str, ...]:
    # Readers beside one-thread trainings that fill the cores only take turns with them; the order
    # and the augmentation of the images do not depend on them.
    readers = [] if torch.cuda.is_available() else ["dataloader.train.num_workers=0"]
    return (
        "train.checkpointer.max_to_keep=1",
        *readers,
        *overrides,
        f"train.seed={seed}",
        f"train.output_dir={folder}",
        f"dataloader.test.dataset.names='{test}'",  # a path may hold what Hydra's grammar minds
    )


def _train_names(cfg: DictConfig) -> tuple[str, ...]:
    names = OmegaConf.select(cfg, "dataloader.train.dataset.names")
    return (names,) if isinstance(names, str) else tuple(names)


def _train_data(cfgs: Iterable[DictConfig]) -> dict[tuple[str, ...], tuple[str, int]]:
    """Digest and number of images of each training set, which is read once."""
    by_names = {_train_names(cfg): cfg for cfg in cfgs}
    return {
        names: (truth_digest(names), len(instantiate(cfg.dataloader.train.dataset)))
        for names, cfg in by_names.items()
    }


def _iterations(cfg: DictConfig, images: int) -> int:
    if cfg.train.max_iter is not None:
        return cfg.train.max_iter
    return math.ceil(cfg.train.epochs * images / cfg.dataloader.train.total_batch_size)


def check_runs(runs: Sequence[Run], records: Sequence[Record]) -> None:
    """Refuse runs that would not be comparable with each other, or with what is there.

    Settings may differ from row to row, from those of a record, or from those of a training that
    was begun.
    """
    planned = {run.row.config: run for run in runs}
    first = runs[0]
    for run in planned.values():
        names, same = (first.row.config, run.row.config), run.row.form == first.row.form
        check_equal(first.settings, run.settings, names, same_form=same)
    for run in runs:
        if (run.folder / JOB_FILE).is_file():
            begun, names = read_run(run.folder), (THIS, f"the training begun in {run.folder}")
            check_equal(run.settings, begun.settings, names)
            check_equal({"steps": run.iterations}, {"steps": begun.iterations}, names)
            check_equal(run.model, begun.model, names)
    for record in records:
        run = planned.get(record.row, first)
        names = (THIS, f"the record {record.path}")
        check_equal(run.settings, record.settings, names, same_form=run.row.form == record.form)
        check_equal(run.tests, _common_tests(record, run.tests), names)
        if record.row in planned:
            check_equal(run.model, record.content["model"], names)


def check_records(records: Sequence[Record]) -> None:
    """Refuse records of one data set that are not comparable with each other."""
    for record in records:
        of_form = next(one for one in records if one.form == record.form)
        for other in (records[0], of_form):
            names = (f"the record {other.path}", f"the record {record.path}")
            same = other.form == record.form
            check_equal(other.settings, record.settings, names, same_form=same)
        check_equal(records[0].digests, _common_tests(record, records[0].digests), names)


def _common_tests(record: Record, tests: Mapping[str, str]) -> dict[str, str]:
    """The tests of a row, with the record's data where it has the same set."""
    return {name: record.digests.get(name, digest) for name, digest in tests.items()}


def default_tests(data: str, cfg: DictConfig) -> list[str]:
    """Name the sets that a row is measured on where the user names none.

    For the toy photos these are a mixed set and three hard ones, else the config's test set.
    """
    if data == "toy":
        return [f"{TOY_TESTS_PREFIX}_{name}" for name in TOY_TESTS]
    names = cfg.dataloader.test.dataset.names
    return [names] if isinstance(names, str) else list(names)


def make_toy_sets() -> None:
    """Draw and prepare the toy photos and the toy test sets where they are missing.

    They go to the data sets' folder; it takes two minutes, once.
    """
    root = datasets_root()
    photos, toy, tests = (
        root / "toy_photos",
        PreparedLayout(root, "toy"),
        PreparedLayout(root, TOY_TESTS_PREFIX),
    )
    commands = []
    if not toy.annotations("trainval_0", tiles=True).is_file():
        commands.append(["toy", photos, *TOY_PHOTOS])
        commands.append(["import", photos, toy.folder, *TOY_IMPORT])
    if not all(tests.annotations(name).is_file() for name in TOY_TESTS):
        commands.append(["toy-tests", tests.folder])
    for command in commands:
        words = ["data", *map(str, command)]
        logger.info("acnet %s", shlex.join(words))
        if acnet_main(words):
            raise UserError(
                "The toy rows are trained on photos that a command prepares. Received an error of "
                f"`acnet {shlex.join(words)}`, shown above. Correct its cause and run again."
            )


def register_sets(cfgs: Iterable[DictConfig], tests: Sequence[str]) -> None:
    """Make all data sets of some configs and tests known, by name or by path."""
    register_all()
    register_paths(dict.fromkeys([*tests, *(name for cfg in cfgs for name in dataset_names(cfg))]))
    for name in tests:
        if name not in DatasetCatalog:
            starts = ("toy", "acne04", "voc")
            known = ", ".join(sorted(one for one in DatasetCatalog if one.startswith(starts)))
            raise UserError(
                "--test takes names of registered sets, or paths such as SET:SPLIT. Received "
                f"{name!r}. Known are {known}, and what is prepared below {datasets_root()}."
            )


def truth_digest(names: str | Sequence[str]) -> str:
    """Hash what one or several sets hold: photos' names and sizes, classes and boxes.

    Where they were made on two machines, their pictures may differ by a bit of rounding, and their
    paths do; the ground truth does not.

    These are 16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in [names] if isinstance(names, str) else names:
        truth = registered_truth(name).ground_truth
        files = [Path(file).name for file in truth.file_names]
        digest.update("\n".join([*files, *truth.class_names]).encode())
        for column in (truth.image_hw, truth.photo, truth.classes, truth.boxes_xywh.round(3)):
            digest.update(column.tobytes())
    return digest.hexdigest()[:16]


def short_test(name: str) -> str:
    """Shorten the name of a test set to what tells it from others."""
    last = name.rpartition(":")[2].rpartition("/")[2]
    return last.removeprefix(f"{TOY_TESTS_PREFIX}_").removesuffix(".json")
