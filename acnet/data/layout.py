"""Where a prepared data set keeps its files; the writer and the registration both ask here."""

import os
from dataclasses import dataclass
from pathlib import Path

NUM_FOLDS = 5
# The five folds of ACNE04 and of the toy photos, whose names are known before they are prepared.
FOLD_SPLITS = tuple(
    f"{split}_{fold}" for fold in range(NUM_FOLDS) for split in ("trainval", "test")
)
ACNE_CLASSES = ("acne",)
PREFIXES = ("acne04", "toy")
TOY_TESTS_PREFIX = "toy_tests"
TOY_TESTS = ("mixed", "colour", "scale", "density")  # its splits, see acnet/data/toy/hard_sets.py
TILES_SUFFIX = "_tiles"


def datasets_root(root: str | os.PathLike | None = None) -> Path:
    """Returns the folder that holds the data sets: `root`, `$DETECTRON2_DATASETS` or `datasets`.

    Args:
        root: the user's choice, None where there is none.
    """
    return Path(root or os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


@dataclass(frozen=True)
class PreparedLayout:
    """The paths of one prepared data set.

    Args:
        root: the folder that holds the data sets.
        prefix: the first word of its registered names, and its folder below `root`.
    """

    root: Path
    prefix: str

    @classmethod
    def of_folder(cls, folder: str | os.PathLike) -> "PreparedLayout":
        """Returns the layout of a set that has this folder.

        Args:
            folder: the data set's own, wherever it is; need not exist.
        """
        absolute = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 - keeps links
        return cls(absolute.parent, absolute.name)

    @property
    def folder(self) -> Path:
        """The data set's own folder."""
        return self.root / self.prefix

    @property
    def images(self) -> Path:
        """The folder of the photos, where they were copied."""
        return self.folder / "images"

    @property
    def tiles(self) -> Path:
        """The folder of the tiles' pictures."""
        return self.folder / "tiles"

    @property
    def annotations_folder(self) -> Path:
        """The folder of the COCO files."""
        return self.folder / "annotations"

    @property
    def manifest(self) -> Path:
        """The file that says how the set was made and where its photos are."""
        return self.folder / "manifest.json"

    @property
    def dropped(self) -> Path:
        """The log of all that the preparation left out or changed."""
        return self.folder / "dropped.txt"

    def annotations(self, split: str, *, tiles: bool = False) -> Path:
        """The COCO file of one split.

        Args:
            split: such as "train", or "trainval_0" of a set with folds.
            tiles: the file of the tiles rather than of the whole photos.
        """
        return self.annotations_folder / f"{split}{TILES_SUFFIX if tiles else ''}.json"

    def dataset_name(self, split: str, *, tiles: bool = False) -> str:
        """The name under which detectron2 knows the same split.

        Args:
            split: such as "train", or "trainval_0" of a set with folds.
            tiles: the tiles rather than the whole photos.
        """
        return f"{self.prefix}_{split}{TILES_SUFFIX if tiles else ''}"
