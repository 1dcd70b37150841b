"""The prepared sets in detectron2's catalogs, by names such as `acne04_trainval_0_tiles`.

Nothing is read until `DatasetCatalog.get`, so that registering costs nothing and may happen before
the files exist. detectron2's own names (`voc_2007_*`) are left alone.
"""

import functools
import json
import logging
import os
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json

from acnet.data.layout import (
    CLASS_NAMES,
    NUM_FOLDS,
    PREFIXES,
    SPLITS,
    PreparedLayout,
    datasets_root,
)
from acnet.errors import UserError

logger = logging.getLogger(__name__)

# What a tile's record says beyond detectron2's own keys, see acnet/data/coco.py.
TILE_KEYS = ("photo_file_name", "offset_xy")


def register_all(root: str | os.PathLike | None = None) -> None:
    """Registers every fold of ACNE04 and of the toy photos, whole and in tiles.

    Calling it again changes nothing; calling it with another root moves the names there.

    Args:
        root: the folder of the data sets; `$DETECTRON2_DATASETS` or `datasets` where None.
    """
    for prefix in PREFIXES:
        register_prefix(prefix, root)


def register_prefix(prefix: str, root: str | os.PathLike | None = None) -> None:
    """Registers `{prefix}_{trainval,test}_{0..4}` and the same names with `_tiles`.

    Args:
        prefix: the folder below `root` and the first word of the names.
        root: the folder of the data sets; `$DETECTRON2_DATASETS` or `datasets` where None.
    """
    layout = PreparedLayout(datasets_root(root), prefix)
    for split in SPLITS:
        for fold in range(NUM_FOLDS):
            _register(layout, split, fold, tiles=False)
            _register(layout, split, fold, tiles=True)


def _register(layout: PreparedLayout, split: str, fold: int, *, tiles: bool) -> None:
    name = layout.dataset_name(split, fold, tiles=tiles)
    json_file = layout.annotations(split, fold, tiles=tiles)
    if name in DatasetCatalog:
        known = MetadataCatalog.get(name).get("json_file")
        if known == str(json_file):
            return
        logger.info("%s moves from %s to %s", name, known, json_file)
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    load = _load_tiles if tiles else _load_photos
    DatasetCatalog.register(name, functools.partial(load, layout, json_file, name))
    metadata = MetadataCatalog.get(name).set(
        thing_classes=list(CLASS_NAMES),
        thing_dataset_id_to_contiguous_id={i + 1: i for i in range(len(CLASS_NAMES))},
        evaluator_type="coco",
        json_file=str(json_file),
    )
    if tiles:  # the photos' folder stands in the manifest, which only loading reads
        metadata.image_root = str(layout.tiles)


def _load_photos(layout: PreparedLayout, json_file: Path, name: str) -> list[dict]:
    manifest = _require_complete(json_file, layout)
    image_root = os.path.normpath(layout.folder / manifest["image_root"])
    MetadataCatalog.get(name).image_root = image_root
    return load_coco_json(str(json_file), image_root, name)


def _load_tiles(layout: PreparedLayout, json_file: Path, name: str) -> list[dict]:
    _require_complete(json_file, layout)
    records = load_coco_json(str(json_file), str(layout.tiles), name)
    images = json.loads(json_file.read_text(encoding="utf-8"))["images"]
    tile_of_id = {image["id"]: image for image in images}
    for record in records:
        record.update({key: tile_of_id[record["image_id"]][key] for key in TILE_KEYS})
    return records


def _require_complete(json_file: Path, layout: PreparedLayout) -> dict:
    """Returns the manifest; a set that was never or only half prepared is the user's to prepare."""
    if json_file.is_file() and layout.manifest.is_file():
        manifest = json.loads(layout.manifest.read_text(encoding="utf-8"))
        if manifest["complete"]:
            return manifest
        fault = f"a preparation that did not finish, in {layout.folder}"
    else:
        fault = f"a root without {json_file}"
    raise UserError(
        f"The data set {layout.prefix} must be prepared before it is used, since detectron2 reads "
        f"its COCO files. Received {fault}. Make it with: python datasets/prepare_acne04.py "
        f"--src SOURCE --dst {layout.root} --prefix {layout.prefix}"
    )
