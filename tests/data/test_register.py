"""Names and paths in detectron2's catalogs: lazy, idempotent, loadable by detectron2's loaders."""

import json

import pytest
from detectron2.config import LazyConfig
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    get_detection_dataset_dicts,
)
from omegaconf import OmegaConf

from acnet.config import dataset_names
from acnet.data.prepared_set import FOLD_SPLITS
from acnet.data.register import register_all, register_paths, split_path
from acnet.errors import UserError
from tests.data.samples import import_folder
from tests.data.small_sets import BOXES, write, yolo

NAMES = [f"{p}_{s}{t}" for p in ("acne04", "toy") for s in FOLD_SPLITS for t in ("", "_tiles")]


@pytest.fixture(autouse=True)
def _own_catalog():
    """Takes the names of a test out of the catalogs again."""
    before = set(DatasetCatalog.list()) - set(NAMES)
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture(scope="module")
def prepared(toy_photos, tmp_path_factory):
    return import_folder(toy_photos, tmp_path_factory.mktemp("datasets") / "toy").layout


@pytest.fixture
def layout(tmp_path):
    yolo(tmp_path / "src")
    return import_folder(tmp_path / "src", tmp_path / "sets" / "lesions").layout


def test_all_names_without_any_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nothing"))
    register_all()  # the root is detectron2's
    assert set(NAMES) <= set(DatasetCatalog.list())
    metadata = MetadataCatalog.get("toy_test_3_tiles")
    assert metadata.thing_classes == ["acne"]
    assert metadata.evaluator_type == "coco"
    assert metadata.json_file == str(tmp_path / "nothing/toy/annotations/test_3_tiles.json")
    assert metadata.image_root == str(tmp_path / "nothing/toy/tiles")
    with pytest.raises(UserError, match=r"prepare_acne04\.py --src SOURCE --dst .* --prefix toy$"):
        DatasetCatalog.get("toy_trainval_0")
    with pytest.raises(UserError, match=r"acne04/manifest\.json"):
        DatasetCatalog.get("acne04_test_1_tiles")


def test_again_changes_nothing_and_another_root_moves_the_names(tmp_path, prepared):
    register_all(tmp_path)
    before = [DatasetCatalog[name] for name in NAMES]
    register_all(tmp_path)
    assert [DatasetCatalog[name] for name in NAMES] == before
    register_all(prepared.root)
    assert len(DatasetCatalog.get("toy_test_0")) == 2


def test_detectron2s_loader_and_mapper_take_photos(prepared):
    register_all(prepared.root)
    records = get_detection_dataset_dicts(["toy_trainval_1"], filter_empty=False)
    mapper = DatasetMapper(is_train=True, augmentations=[], image_format="BGR")
    full = next(record for record in records if record["annotations"])
    mapped = mapper(full)  # it checks the picture's size against the record
    assert mapped["image"].shape == (3, full["height"], full["width"])
    assert len(mapped["instances"]) == len(full["annotations"])


def test_every_prepared_set_is_registered_by_name(layout, tmp_path):
    register_all(layout.root)
    names = {f"lesions_{split}{tiles}" for split in ("train", "val") for tiles in ("", "_tiles")}
    assert names <= set(DatasetCatalog.list())
    metadata = MetadataCatalog.get("lesions_val")
    assert metadata.thing_classes == ["acne", "scar"]
    assert metadata.thing_dataset_id_to_contiguous_id == {1: 0, 2: 1}
    assert metadata.json_file == str(layout.annotations("val"))
    records = DatasetCatalog.get("lesions_val")
    assert metadata.image_root == str(tmp_path / "src")
    photos = tmp_path / "src" / "valid" / "images"
    assert [record["file_name"] for record in records] == [f"{photos}/{n}.jpg" for n in "cd"]
    x0, y0, x1, y1 = BOXES[0]
    assert records[0]["annotations"][0]["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
    assert [box["category_id"] for box in records[0]["annotations"]] == [0, 0, 1]
    assert DatasetCatalog.get("lesions_val") == records  # loads twice
    # New classes are seen by the next call, and a changed source does not load.
    import_folder(tmp_path / "src", layout.folder, one_class="acne")
    register_all(layout.root)
    assert MetadataCatalog.get("lesions_val").thing_classes == ["acne"]
    (tmp_path / "src" / "train" / "labels" / "a.txt").write_text("")
    with pytest.raises(UserError, match=r"a\.txt, which changed"):
        DatasetCatalog.get("lesions_train")


def test_unfinished_sets_and_other_programs_files_do_not_stop_the_others(layout, caplog):
    write(layout.root / "toy" / "manifest.json", json.dumps({"complete": False}))
    write(layout.root / "web" / "manifest.json", json.dumps({"name": "an app"}))
    register_all(layout.root)
    assert "lesions_train" in DatasetCatalog
    assert "did not finish" in caplog.text
    assert "web" not in caplog.text
    with pytest.raises(UserError, match="did not finish"):
        DatasetCatalog.get("toy_test_0")


def test_detectron2s_own_names_are_left_alone(layout, caplog):
    known = MetadataCatalog.get("coco_2017_train").json_file
    layout.manifest.write_text(layout.manifest.read_text().replace('"train":', '"2017_train":'))
    layout.folder.rename(layout.root / "coco")
    register_all(layout.root)
    assert MetadataCatalog.get("coco_2017_train").json_file == known
    assert "detectron2's own name" in caplog.text


@pytest.mark.parametrize("form", ["{}:train", "{}/annotations/train.json"])
def test_a_set_is_named_by_its_path(layout, form):
    name = form.format(layout.folder)
    register_paths([name, name, "lesions_train"])  # other names are left alone
    assert "lesions_train" not in DatasetCatalog
    assert len(get_detection_dataset_dicts([name], filter_empty=False)) == 2
    assert MetadataCatalog.get(name).json_file == str(layout.annotations("train"))


def test_a_path_may_be_relative_and_its_tiles_missing(layout, monkeypatch):
    monkeypatch.chdir(layout.root)
    register_paths(["lesions:val_tiles"])
    metadata = MetadataCatalog.get("lesions:val_tiles")
    assert metadata.json_file == str(layout.annotations("val", tiles=True))
    monkeypatch.chdir("/")  # loaders may run elsewhere
    assert metadata.image_root == str(layout.tiles)
    with pytest.raises(UserError, match="val_tiles"):
        DatasetCatalog.get("lesions:val_tiles")


def test_paths_that_lead_nowhere(layout, tmp_path):
    with pytest.raises(UserError, match=r"'.*lesions:tarin'; there are train, val\."):
        register_paths([f"{layout.folder}:tarin"])
    with pytest.raises(UserError, match=r"none/manifest\.json"):
        register_paths([f"{tmp_path}/none/annotations/train.json"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b:train", ("a/b", "train")),
        ("C:\\sets\\acne:train_tiles", ("C:\\sets\\acne", "train_tiles")),
        ("/x/annotations/val.json", ("/x", "val")),
        ("annotations/val.json", (".", "val")),
        *((name, None) for name in ("toy_trainval_0_tiles", "x/val.json", ":train", "a:")),
    ],
)
def test_paths_and_other_names(name, expected):
    found = split_path(name)
    assert (found and (str(found[0]), found[1])) == expected


def test_the_names_of_a_config_also_where_they_are_paths():
    train, test = {"dataset": {"names": ["a", "b:c"]}}, {"dataset": {"names": "d"}}
    evaluator = {"dataset_name": "${..test.dataset.names}"}
    loader = {"train": train, "test": test, "evaluator": evaluator}
    cfg = OmegaConf.create({"dataloader": loader})
    assert dataset_names(cfg) == ["a", "b:c", "d"]
    assert dataset_names(OmegaConf.create({})) == []
    for name in ("a/b-c_1.2:train_tiles", "../x/annotations/train.json", "/x/y:z"):
        changed = LazyConfig.apply_overrides(cfg, [f"dataloader.train.dataset.names={name}"])
        assert dataset_names(changed) == [name, "d"]
