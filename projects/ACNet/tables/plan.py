"""What has to be trained: every row with every seed, and under which settings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from acnet.config import load_config
from acnet.tables.record import Record, record_path
from acnet.tables.rows import Row
from acnet.tables.settings import model_settings, shared_settings
from acnet.tables.test_sets import truth_digest


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the user chose for all rows alike.

    Args:
        tests: names of the sets to measure on; the first is also the one that a training
            evaluates on.
        seeds: of the trainings.
        iterations: of a training; None for the configs' own.
        overrides: key=value for every row.
        output: folder of runs and pages.
        results: folder of the records.
        num_gpus: of one training.
    """

    tests: tuple[str, ...]
    seeds: tuple[int, ...]
    iterations: int | None
    overrides: tuple[str, ...]
    output: Path
    results: Path
    num_gpus: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One row with one seed.

    Args:
        row: what is trained.
        seed: of the training.
        opts: key=value of its `train_net.py`.
        folder: of its checkpoints.
        record: of its result.
        settings: shared by all rows.
        model: the row's own.
        iterations: of the training.
        tests: digest of each test set, by name.
    """

    row: Row
    seed: int
    opts: tuple[str, ...]
    folder: Path
    record: Path
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    iterations: int
    tests: Mapping[str, str]

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.row.config}, seed {self.seed}"

    def is_measured_by(self, record: Record) -> bool:
        """Tell whether a record is of this row on all of these sets.

        Args:
            record: with the same settings.
        """
        there = {name: test["data"] for name, test in record.content["tests"].items()}
        return all(there.get(name) == digest for name, digest in self.tests.items())


def load_rows(rows: Sequence[Row], choices: Choices) -> dict[Row, DictConfig]:
    """Load the config of each row with the user's overrides.

    Args:
        rows: those that are wanted.
        choices: of the user.

    Returns:
        Configs by row, in order.

    Raises:
        UserError: an override does not fit a config.
    """
    return {row: load_config(row.config, _overrides(choices)) for row in rows}


def plan_runs(cfgs: Mapping[Row, DictConfig], choices: Choices) -> list[Run]:
    """Plan the trainings: the first seed of all rows, then the second, and so on.

    A row whose config means the same as an earlier one's, as Table III's L2-L4 with DCE means
    Table II's (h), is not trained again.

    Args:
        cfgs: of `load_rows`; their data sets are registered.
        choices: of the user.

    Returns:
        The runs, in the order in which they should be done.
    """
    tests = {name: truth_digest(name) for name in choices.tests}
    data = _train_data(cfgs.values())
    runs: list[Run] = []
    for row, cfg in cfgs.items():
        digest, images = data[_train_names(cfg)]
        iterations = _iterations(cfg, images)
        settings = shared_settings(
            cfg, iterations=iterations, train_data=digest, overrides=choices.overrides
        )
        model = model_settings(cfg)
        if any(one.model == model and one.settings == settings for one in runs):
            continue
        runs += [
            Run(
                row=row,
                seed=seed,
                opts=_opts(cfg, choices, row, seed),
                folder=_run_folder(choices, row, seed),
                record=record_path(choices.results, row.config, seed),
                settings=settings,
                model=model,
                iterations=iterations,
                tests=tests,
            )
            for seed in choices.seeds
        ]
    return sorted(runs, key=lambda run: choices.seeds.index(run.seed))


def _run_folder(choices: Choices, row: Row, seed: int) -> Path:
    return choices.output / "runs" / row.config / f"seed_{seed}"


def _overrides(choices: Choices) -> list[str]:
    length = [] if choices.iterations is None else [f"train.max_iter={choices.iterations}"]
    return [*choices.overrides, *length]


def _opts(cfg: DictConfig, choices: Choices, row: Row, seed: int) -> tuple[str, ...]:
    import torch

    # Readers beside one-thread trainings that fill the cores only take turns with them; the order
    # and the augmentation of the images do not depend on them.
    readers = [] if torch.cuda.is_available() else ["dataloader.train.num_workers=0"]
    return (
        "train.checkpointer.max_to_keep=1",
        *readers,
        *_overrides(choices),
        f"train.seed={seed}",
        f"train.output_dir={_run_folder(choices, row, seed)}",
        f"dataloader.test.dataset.names={_quoted(choices.tests[0])}",
    )


def _quoted(name: str) -> str:
    return f"'{name}'"  # a path may hold what Hydra's grammar minds


def _train_names(cfg: DictConfig) -> tuple[str, ...]:
    names = OmegaConf.select(cfg, "dataloader.train.dataset.names")
    return (names,) if isinstance(names, str) else tuple(names)


def _train_data(cfgs: Sequence[DictConfig]) -> dict[tuple[str, ...], tuple[str, int]]:
    """Digest and number of images of each training set, which is read once."""
    from detectron2.config import instantiate

    data = {}
    for cfg in cfgs:
        names = _train_names(cfg)
        if names not in data:
            data[names] = (truth_digest(names), len(instantiate(cfg.dataloader.train.dataset)))
    return data


def _iterations(cfg: DictConfig, images: int) -> int:
    if cfg.train.max_iter is not None:
        return cfg.train.max_iter
    return math.ceil(cfg.train.epochs * images / cfg.dataloader.train.total_batch_size)
