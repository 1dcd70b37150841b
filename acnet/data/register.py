"""The prepared sets in detectron2's catalogs, by name or by path.

By name: `acne04_trainval_0_tiles` is the split `trainval_0` of the set in `datasets/acne04`, in
tiles. Every set below the data-set root that has a manifest is known when `register_all` is called,
and the folds of ACNE04 and of the toy photos, and the toy tests, even before they are prepared.

By path: `path/to/set:train_tiles` or `path/to/set/annotations/train_tiles.json`, for a set that is
anywhere.

Pictures and boxes are not read until `DatasetCatalog.get`. detectron2's own names (`voc_2007_*`)
are left alone.
"""

import functools
import itertools
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from omegaconf import DictConfig, OmegaConf

from acnet.data.prepared_set import (
    ACNE_CLASSES,
    FOLD_SPLITS,
    PREFIXES,
    TILES_SUFFIX,
    TOY_TESTS,
    TOY_TESTS_PREFIX,
    PreparedLayout,
    check_fresh,
    datasets_root,
    read_manifest,
    remedy,
)
from acnet.data.tiles.mapper import PHOTO_KEY
from acnet.errors import UserError
from acnet.files import file_sha256

logger = logging.getLogger(__name__)

# What a tile's record says beyond detectron2's own keys, see acnet/data/records.py.
TILE_KEYS = ("photo_file_name", "offset_xy")


def register_all(root: str | os.PathLike | None = None) -> None:
    """Register every prepared set below `root`, and those of known names in any case.

    Calling it again adds what was prepared meanwhile; calling it with another root moves the names
    there. The default is `$DETECTRON2_DATASETS` or `datasets`.
    """
    root = datasets_root(root)
    for manifest in sorted(root.glob("*/manifest.json")):
        if not manifest.is_file() or b'"complete"' not in manifest.read_bytes():
            continue  # many other programs write a file of this name
        try:
            register_set(PreparedLayout(root, manifest.parent.name))
        except UserError as error:  # one unfinished set must not stop work with the others
            logger.warning("not registered: %s", error)
    known = {**dict.fromkeys(PREFIXES, FOLD_SPLITS), TOY_TESTS_PREFIX: TOY_TESTS}
    for prefix, splits in known.items():
        layout = PreparedLayout(root, prefix)
        for split, tiles in itertools.product(splits, (False, True)):
            name = layout.dataset_name(split, tiles=tiles)
            if not _is_at(name, layout.annotations(split, tiles=tiles)):
                _register(name, layout, split, tiles=tiles, class_names=ACNE_CLASSES)


def register_set(layout: PreparedLayout) -> list[str]:
    """Register all splits of a prepared set, whole and in tiles; returns the names."""
    manifest = read_manifest(layout)
    class_names = manifest.get("class_names", ACNE_CLASSES)
    names = []
    for split, tiles in itertools.product(manifest.get("splits", {}), (False, True)):
        names.append(layout.dataset_name(split, tiles=tiles))
        _register(names[-1], layout, split, tiles=tiles, class_names=class_names)
    return names


def register_paths(names: Iterable[str]) -> None:
    """Register those data sets that are named by a path, under the path as it is written."""
    for name in names:
        place = split_path(name)
        if place is None:
            continue
        folder, stem = place
        layout = PreparedLayout.of_folder(folder)
        manifest = read_manifest(layout)
        split = stem.removesuffix(TILES_SUFFIX)
        splits = manifest.get("splits", {})
        if split not in splits:
            raise UserError(
                f"A data set named by a path is one of the set's splits, with or without "
                f"{TILES_SUFFIX}. Received {name!r}; there are {', '.join(splits)}. "
                "Correct the name of the split."
            )
        class_names = manifest.get("class_names", ACNE_CLASSES)
        _register(name, layout, split, tiles=stem != split, class_names=class_names)


def split_path(name: str) -> tuple[Path, str] | None:
    """Take a data set's name apart: folder and split, which may end in `_tiles`; None for others.

    The two forms are `SET:SPLIT` and `SET/annotations/SPLIT.json`.
    """
    path = Path(name)
    if path.suffix == ".json" and path.parent.name == "annotations":
        return path.parent.parent, path.stem
    folder, colon, split = name.rpartition(":")
    return (Path(folder), split) if colon and folder and split else None


def _register(
    name: str, layout: PreparedLayout, split: str, *, tiles: bool, class_names: Sequence[str]
) -> None:
    json_file = layout.annotations(split, tiles=tiles)
    if name in DatasetCatalog:
        known = MetadataCatalog.get(name)
        if _is_at(name, json_file) and known.thing_classes == list(class_names):
            return
        load = DatasetCatalog.data[name]
        if not isinstance(load, functools.partial) or load.func not in (_load_photos, _load_tiles):
            logger.warning("%s is detectron2's own name; give %s by its path", name, json_file)
            return
        logger.info("%s moves from %s to %s", name, known.get("json_file"), json_file)
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    load = _load_tiles if tiles else _load_photos
    DatasetCatalog.register(name, functools.partial(load, layout, json_file, name))
    metadata = MetadataCatalog.get(name).set(
        thing_classes=list(class_names),
        thing_dataset_id_to_contiguous_id={i + 1: i for i in range(len(class_names))},
        evaluator_type="coco",
        json_file=str(json_file),
    )
    if tiles:  # the photos' folder stands in the manifest, which only loading reads
        metadata.image_root = str(layout.tiles)


def _is_at(name: str, json_file: Path) -> bool:
    return name in DatasetCatalog and MetadataCatalog.get(name).get("json_file") == str(json_file)


def classes_of(cfg: DictConfig) -> list[str]:
    """Return the names of a config's classes, or numbers where they are not known here.

    A bundle's config says them, since the data sets of its training are not here. Otherwise they
    are those of its first test set.
    """
    if names := OmegaConf.select(cfg, "class_names"):
        return list(names)
    datasets = OmegaConf.select(cfg, "dataloader.test.dataset.names")
    one_stage = OmegaConf.select(cfg, "model.num_classes")
    count = OmegaConf.select(cfg, "model.roi_heads.num_classes", default=one_stage)
    dataset = datasets if isinstance(datasets, str) else next(iter(datasets or []), "")
    if dataset not in DatasetCatalog:
        register_all()
        try:
            register_paths([dataset])  # a set that is named by its path, perhaps another machine's
        except UserError as error:
            logger.warning("%s", error)
    names = (
        MetadataCatalog.get(dataset).get("thing_classes", []) if dataset in DatasetCatalog else []
    )
    if len(names) != count:
        logger.warning(
            "The model has %s classes and its test set %r names %d; they are called by number.",
            *(count, dataset, len(names)),
        )
        return [f"class {index + 1}" for index in range(count)]
    return list(names)


def _load_photos(layout: PreparedLayout, json_file: Path, name: str) -> list[dict]:
    manifest = _require(layout, json_file)
    image_root = os.path.normpath(layout.folder / manifest["image_root"])
    MetadataCatalog.get(name).image_root = image_root
    records = load_coco_json(str(json_file), image_root, name)
    prefix = len(image_root) + 1
    check_fresh(layout, manifest, [record["file_name"][prefix:] for record in records])
    return records


def _load_tiles(layout: PreparedLayout, json_file: Path, name: str) -> list[dict]:
    manifest = _require(layout, json_file)
    content = json.loads(json_file.read_text(encoding="utf-8"))
    photos = {image["photo_file_name"] for image in content["images"]}
    options = _require_tiles(layout, manifest, json_file)
    check_fresh(layout, manifest, sorted(photos) if options["virtual"] else [])
    records = load_coco_json(str(json_file), str(layout.tiles), name)
    tile_of_id = {image["id"]: image for image in content["images"]}
    for record in records:
        record.update({key: tile_of_id[record["image_id"]][key] for key in TILE_KEYS})
        if options["virtual"]:
            photo = layout.folder / manifest["image_root"] / record["photo_file_name"]
            record[PHOTO_KEY] = os.path.normpath(photo)
    return records


def _require_tiles(
    layout: PreparedLayout, manifest: Mapping[str, Any], json_file: Path
) -> Mapping[str, Any]:
    """Return the options of the tiles, which are whole if they are of these photos' boxes."""
    split = json_file.stem.removesuffix(TILES_SUFFIX)
    tiles = manifest.get("tiles", {})
    annotations = layout.annotations(split)
    if split not in tiles.get("splits", {}):
        fault = f"tiles that are not finished, in {layout.folder}"
    elif tiles["annotations_sha256"][split] != file_sha256(annotations):
        fault = f"tiles that are older than {annotations}"
    else:
        return tiles["options"]
    raise UserError(
        f"Tiles must be whole, and of the boxes that their photos have. Received {fault}. "
        f"Cut them again with: acnet data tile {layout.folder}"
    )


def _require(layout: PreparedLayout, json_file: Path) -> dict[str, Any]:
    """Return the manifest; a set that was never or only half prepared is the user's to prepare."""
    manifest = read_manifest(layout)
    if not json_file.is_file():
        raise UserError(
            f"The data set {layout.prefix} must hold the split that is asked for. Received a set "
            f"without {json_file}. Make it with: {remedy(layout, manifest)}"
        )
    return manifest
