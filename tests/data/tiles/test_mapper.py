"""Virtual tiles against the PNG tiles that they stand for: the same tensors."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import instantiate
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from detectron2.data import transforms as T
from PIL import Image

from acnet.config import load_config
from acnet.data.register import register_set
from acnet.data.tiles import mapper as mapper_module
from acnet.data.tiles.mapper import PHOTO_KEY, TileMapper
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.engine.loader import isolated_rng
from acnet.errors import UnreadableFileError, UserError
from acnet.photos.read import read_photo
from tests.data.samples import SIZE_HW, SMALL_HW, save_odd_photos, write_set

PNG = TileOptions(tile_px=64, overlap_px=32, image_format="png")
VIRTUAL = dataclasses.replace(PNG, virtual=True)


@pytest.fixture(scope="module", autouse=True)
def _own_catalog():
    """Take the names of these tests out of the catalogs again."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture(scope="module")
def names(tmp_path_factory, _own_catalog):
    """Register the same odd photos, large and of one tile, as sets `written` and `virtual`."""
    root = tmp_path_factory.mktemp("datasets")
    photos = save_odd_photos(root / "photos", SIZE_HW, "large")
    photos += save_odd_photos(root / "photos", SMALL_HW, "small")
    for name, options in {"written": PNG, "virtual": VIRTUAL}.items():
        splits = {"train": photos, "test": photos[::3]}
        layout = write_set(root / f"tiles_{name}", root / "photos", splits)
        tile_set(layout, options)
        register_set(layout)


def records(kind: str, split: str) -> list[dict]:
    return DatasetCatalog.get(f"tiles_{kind}_{split}_tiles")


def assert_same(one: dict, other: dict) -> None:
    assert one["image"].dtype == other["image"].dtype == torch.uint8
    assert torch.equal(one["image"], other["image"])
    assert ("instances" in one) == ("instances" in other)
    if "instances" in one:
        ours, theirs = one["instances"], other["instances"]
        assert ours.image_size == theirs.image_size
        assert torch.equal(ours.gt_boxes.tensor, theirs.gt_boxes.tensor)
        assert torch.equal(ours.gt_classes, theirs.gt_classes)
    for key in ("image_id", "height", "width", "photo_file_name", "offset_xy"):
        assert one[key] == other[key]
    assert Path(one["file_name"]).name == Path(other["file_name"]).name


@pytest.mark.parametrize("image_format", ["BGR", "RGB", "L"])
@pytest.mark.parametrize("is_train", [True, False])
def test_odd_photos_give_the_tensors_of_detectron2s_mapper_on_png(names, is_train, image_format):
    settings = {
        "is_train": is_train,
        "augmentations": [T.RandomFlip(horizontal=True), T.RandomBrightness(0.7, 1.3)],
        "image_format": image_format,
    }
    theirs, ours = DatasetMapper(**settings), TileMapper(**settings)
    written, virtual = records("written", "train"), records("virtual", "train")
    kinds = {record["photo_file_name"] for record in virtual}
    assert len(written) == len(virtual) > len(kinds) == 2 * 20
    for seed, (on_disk, cut) in enumerate(zip(written, virtual, strict=True)):
        with isolated_rng(seed):
            expected = theirs(on_disk)
        with isolated_rng(seed):
            found = ours(cut)
        assert_same(found, expected)
        assert found["image"].is_contiguous()


def test_deep_grey_is_read_as_in_prediction(tmp_path):
    photo = Image.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype(np.uint16))
    photo.save(tmp_path / "a.png")
    record = {"file_name": f"{tmp_path / 'a.png'}", "width": 64, "height": 48, "offset_xy": (9, 9)}
    found = TileMapper(is_train=False, augmentations=[], image_format="BGR")(record)["image"]
    expected = read_photo(tmp_path / "a.png").transpose(2, 0, 1)
    assert torch.equal(found, torch.from_numpy(expected.copy()))


def test_the_shared_config_loads_both_kinds_alike(names):
    batches = {}
    for kind in ("written", "virtual"):
        cfg = load_config("acne04/acnet_r101", [])
        cfg.dataloader.train.dataset.names = f"tiles_{kind}_train_tiles"
        cfg.dataloader.test.dataset.names = f"tiles_{kind}_test_tiles"
        cfg.dataloader.train.num_workers = cfg.dataloader.test.num_workers = 2
        train, test = instantiate(cfg.dataloader.train), instantiate(cfg.dataloader.test)
        batches[kind] = [*(batch for batch, _ in zip(train, range(6), strict=False)), *test]
    for written, virtual in zip(batches["written"], batches["virtual"], strict=True):
        for one, other in zip(written, virtual, strict=True):
            assert_same(other, one)


def test_a_workers_memory_is_one_photo(names):
    mapper = TileMapper(is_train=False, augmentations=[], image_format="BGR")
    mapper_module._decoded_photo.cache_clear()
    for record in records("virtual", "test"):
        mapper(record)
    info = mapper_module._decoded_photo.cache_info()
    assert info.currsize == 1
    assert info.misses == len({record[PHOTO_KEY] for record in records("virtual", "test")})
    assert len(pickle.dumps(mapper)) < 10_000  # a spawned worker gets no pixels


class PaintBlack(T.Augmentation):
    """An augmentation that writes into the picture it is given."""

    def get_transform(self, image):
        image[:] = 0
        return T.NoOpTransform()


def test_an_augmentation_that_paints_spoils_no_other_tile(names):
    plain = TileMapper(is_train=True, augmentations=[], image_format="BGR")
    painted = TileMapper(is_train=True, augmentations=[PaintBlack()], image_format="BGR")
    record = records("virtual", "train")[0]
    before = plain(record)["image"]
    assert painted(record)["image"].max() == 0
    assert torch.equal(plain(record)["image"], before)


def test_a_photo_that_shrank_or_broke_is_noticed(tmp_path):
    path = tmp_path / "a.png"
    mapper = TileMapper(is_train=False, augmentations=[], image_format="BGR")
    record = {PHOTO_KEY: str(path), "offset_xy": [10, 20], "width": 64, "height": 64}
    Image.fromarray(np.zeros((84, 74, 3), np.uint8)).save(path)
    assert mapper(record)["image"].shape == (3, 64, 64)
    Image.fromarray(np.zeros((84, 73, 3), np.uint8)).save(path)
    with pytest.raises(UnreadableFileError, match=r"73x84 pixels.*\(74, 84\)"):
        mapper(record)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UnreadableFileError, match=r"a\.png"):
        mapper(record)


def test_tiles_of_other_boxes_do_not_load(tmp_path):
    photos = save_odd_photos(tmp_path / "photos", SMALL_HW, "small")
    layout = write_set(tmp_path / "stale", tmp_path / "photos", {"test": photos})
    register_set(layout)
    with pytest.raises(UserError, match="must hold the split"):
        DatasetCatalog.get("stale_test_tiles")
    tile_set(layout, VIRTUAL)
    assert len(DatasetCatalog.get("stale_test_tiles")) == len(photos)
    annotations = layout.annotations("test")
    annotations.write_text(annotations.read_text() + " ")
    with pytest.raises(UserError, match=r"older than .*acnet data tile \S+stale$"):
        DatasetCatalog.get("stale_test_tiles")
