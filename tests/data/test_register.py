"""Names in detectron2's catalogs: lazy, idempotent, and loadable by detectron2's own loaders."""

import json

import numpy as np
import pytest
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    get_detection_dataset_dicts,
)
from numpy.testing import assert_allclose

from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.acne04 import open_acne04
from acnet.data.register import register_all
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.errors import UserError

NAMES = [
    f"{prefix}_{split}_{fold}{tiles}"
    for prefix in ("acne04", "toy")
    for split in ("trainval", "test")
    for fold in range(5)
    for tiles in ("", "_tiles")
]


@pytest.fixture(autouse=True)
def _own_catalog():
    """Takes this module's names out of the catalogs again."""
    yield
    for name in NAMES:
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)


@pytest.fixture(scope="module")
def prepared(toy_photos, tmp_path_factory):
    layout = PreparedLayout(tmp_path_factory.mktemp("datasets"), "toy")
    import_set(open_acne04(toy_photos), layout, ImportOptions())
    tile_set(layout, TileOptions(tile_px=64, overlap_px=32, empty_share=1.0))
    return layout


def test_all_names_without_any_file(tmp_path):
    register_all(tmp_path / "nothing")
    assert set(NAMES) <= set(DatasetCatalog.list())
    metadata = MetadataCatalog.get("toy_test_3_tiles")
    assert metadata.thing_classes == ["acne"]
    assert metadata.evaluator_type == "coco"
    assert metadata.json_file == str(tmp_path / "nothing/toy/annotations/test_3_tiles.json")
    assert metadata.image_root == str(tmp_path / "nothing/toy/tiles")


def test_the_root_is_detectron2s(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "a"))
    register_all()
    json_file = MetadataCatalog.get("acne04_trainval_0").json_file
    assert json_file == str(tmp_path / "a/acne04/annotations/trainval_0.json")


def test_again_changes_nothing_and_another_root_moves_the_names(tmp_path, prepared):
    register_all(tmp_path)
    before = [DatasetCatalog[name] for name in NAMES]
    register_all(tmp_path)
    assert [DatasetCatalog[name] for name in NAMES] == before
    register_all(prepared.root)
    assert len(DatasetCatalog.get("toy_test_0")) == 2


def test_a_missing_set_names_the_command_that_makes_it(tmp_path):
    register_all(tmp_path)
    with pytest.raises(UserError, match=r"prepare_acne04\.py --src SOURCE --dst .* --prefix toy$"):
        DatasetCatalog.get("toy_trainval_0")
    with pytest.raises(UserError, match=r"acne04/manifest\.json"):
        DatasetCatalog.get("acne04_test_1_tiles")


def test_a_half_prepared_set_does_not_load(prepared, tmp_path):
    folder = tmp_path / "toy" / "annotations"
    folder.mkdir(parents=True)
    (folder / "test_0.json").write_bytes(prepared.annotations("test_0").read_bytes())
    (tmp_path / "toy" / "manifest.json").write_text(json.dumps({"complete": False}))
    register_all(tmp_path)
    with pytest.raises(UserError, match="did not finish"):
        DatasetCatalog.get("toy_test_0")


def test_photos_load_with_their_own_boxes(prepared, toy_photos):
    register_all(prepared.root)
    records = DatasetCatalog.get("toy_trainval_0")
    assert len(records) == 8
    source = open_acne04(toy_photos)
    for record in records:
        photo = source.read(record["file_name"].rsplit("/", 1)[1])
        boxes = np.array([a["bbox"] for a in record["annotations"]]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert_allclose(boxes, photo.boxes_xyxy)
        assert {a["category_id"] for a in record["annotations"]} <= {0}
    assert DatasetCatalog.get("toy_trainval_0") == records  # loads twice


@pytest.mark.parametrize("tiles", ["", "_tiles"])
def test_detectron2s_loader_and_mapper_take_them(prepared, tiles):
    register_all(prepared.root)
    records = get_detection_dataset_dicts([f"toy_trainval_1{tiles}"], filter_empty=False)
    mapper = DatasetMapper(is_train=True, augmentations=[], image_format="BGR")
    full = next(record for record in records if record["annotations"])
    mapped = mapper(full)  # it checks the picture's size against the record
    assert mapped["image"].shape == (3, full["height"], full["width"])
    assert len(mapped["instances"]) == len(full["annotations"])


def test_tiles_tell_their_photo_and_offset(prepared):
    register_all(prepared.root)
    for record in DatasetCatalog.get("toy_test_2_tiles"):
        left, top = record["offset_xy"]
        stem = record["photo_file_name"].rsplit(".", 1)[0]
        assert record["file_name"].endswith(f"{stem}_y{top:05d}_x{left:05d}.jpg")
