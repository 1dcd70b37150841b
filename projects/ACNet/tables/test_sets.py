"""The sets that rows are measured on, and what tells whether two machines have the same."""

import hashlib
import logging
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from acnet.config import dataset_names
from acnet.data.parallel import default_workers
from acnet.data.prepared_set import TOY_TESTS, TOY_TESTS_PREFIX, PreparedLayout, datasets_root
from acnet.data.register import register_all, register_paths
from acnet.errors import UserError

logger = logging.getLogger(__name__)

# The toy photos of `make demo`, which the rows are trained on.
TOY_PHOTOS, TOY_PX, TOY_SEED = 1000, 320, 42


def default_tests(data: str, cfg: DictConfig) -> list[str]:
    """Names the sets that a row of a data set is measured on where the user names none.

    Args:
        data: "toy", "acne04" or "voc07".
        cfg: of a row.

    Returns:
        For the toy photos a mixed set and three hard ones, else the config's test set.
    """
    if data == "toy":
        return [f"{TOY_TESTS_PREFIX}_{name}" for name in TOY_TESTS]
    names = cfg.dataloader.test.dataset.names
    return [names] if isinstance(names, str) else list(names)


def make_toy_sets() -> None:
    """Draws and prepares the toy photos, and the toy test sets, where they are missing.

    They go to the data sets' folder; it takes two minutes, once.
    """
    from acnet.data.prepare import PrepareOptions, prepare_acne04
    from acnet.data.readers.acne04 import open_acne04
    from acnet.data.tiles.tile_plan import TileOptions
    from acnet.data.toy.toy_photo import ToyOptions
    from acnet.data.toy.toy_set import ToyTests, write_toy_set, write_toy_tests

    root, workers = datasets_root(), default_workers()
    layout = PreparedLayout(root, "toy")
    if not layout.annotations("trainval_0", tiles=True).is_file():
        photos = root / "toy_photos"
        logger.info("drawing %d toy photos in %s", TOY_PHOTOS, photos)
        options = ToyOptions(seed=TOY_SEED, sizes_px=(TOY_PX,))
        write_toy_set(photos, options, photos=TOY_PHOTOS, workers=workers)
        command = ["python", "datasets/prepare_acne04.py", "--prefix", "toy", "--folds", "0"]
        prepare = PrepareOptions(
            tiles=TileOptions(),
            folds=[0],
            workers=workers,
            command=shlex.join([*command, "--src", str(photos), "--dst", str(root)]),
        )
        prepare_acne04(open_acne04(photos), layout, prepare)
    tests = PreparedLayout(root, TOY_TESTS_PREFIX)
    if not all(tests.annotations(name).is_file() for name in TOY_TESTS):
        logger.info("drawing the toy test sets in %s", tests.folder)
        command = shlex.join(["acnet", "data", "toy-tests", str(tests.folder)])
        write_toy_tests(tests, ToyTests(), workers=workers, command=command)


def register_sets(cfgs: Iterable[DictConfig], tests: Sequence[str]) -> None:
    """Makes all data sets of some configs known, by name or by path.

    Args:
        cfgs: of the rows.
        tests: of the measurement.

    Raises:
        UserError: a path leads to no set, or a test set is unknown.
    """
    from detectron2.data import DatasetCatalog

    register_all()
    register_paths(dict.fromkeys([*tests, *(name for cfg in cfgs for name in dataset_names(cfg))]))
    for name in tests:
        if name not in DatasetCatalog:
            known = sorted(
                one for one in DatasetCatalog if one.startswith(("toy", "acne04", "voc"))
            )
            raise UserError(
                "--test takes names of registered sets, or paths such as SET:SPLIT. Received "
                f"{name!r}. Known are {', '.join(known)}, and what is prepared below "
                f"{datasets_root()}."
            )


def truth_digest(names: str | Sequence[str]) -> str:
    """Hashes what one or several sets hold: photos' names and sizes, classes and boxes.

    Where they were made on two machines, their pictures may differ by a bit of rounding, and their
    paths do; the ground truth does not.

    Args:
        names: of registered sets.

    Returns:
        16 hexadecimal digits.
    """
    from acnet.evaluation.registered import registered_truth

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
    return (
        name.rpartition(":")[2]
        .rpartition("/")[2]
        .removeprefix(f"{TOY_TESTS_PREFIX}_")
        .removesuffix(".json")
    )
