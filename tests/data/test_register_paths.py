"""Sets that are found below the root, and sets that are named by a path."""

import json

import pytest
from detectron2.config import LazyConfig
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts
from omegaconf import OmegaConf

from acnet.config import dataset_names
from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.formats import open_source
from acnet.data.register import register_all, register_paths, split_path
from acnet.errors import UserError
from tests.data.small_sets import BOXES, write, yolo


@pytest.fixture(autouse=True)
def _own_catalog():
    """Takes the names of a test out of the catalogs again."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def layout(tmp_path):
    yolo(tmp_path / "src")
    layout = PreparedLayout(tmp_path / "sets", "lesions")
    import_set(open_source(tmp_path / "src"), layout, ImportOptions())
    return layout


def test_every_prepared_set_is_registered_by_name(layout, tmp_path):
    register_all(layout.root)
    names = {f"lesions_{split}{tiles}" for split in ("train", "val") for tiles in ("", "_tiles")}
    assert names <= set(DatasetCatalog.list())
    metadata = MetadataCatalog.get("lesions_val")
    assert metadata.thing_classes == ["acne", "scar"]
    assert metadata.thing_dataset_id_to_contiguous_id == {1: 0, 2: 1}
    assert metadata.evaluator_type == "coco"
    assert metadata.json_file == str(layout.annotations("val"))
    records = DatasetCatalog.get("lesions_val")
    assert metadata.image_root == str(tmp_path / "src")
    assert [record["file_name"] for record in records] == [
        str(tmp_path / "src" / "valid" / "images" / f"{stem}.jpg") for stem in "cd"
    ]
    x0, y0, x1, y1 = BOXES[0]
    assert records[0]["annotations"][0]["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])


def test_new_classes_are_seen_by_the_next_call(layout, tmp_path):
    register_all(layout.root)
    import_set(open_source(tmp_path / "src"), layout, ImportOptions(one_class="acne"))
    register_all(layout.root)
    assert MetadataCatalog.get("lesions_val").thing_classes == ["acne"]


def test_unfinished_sets_and_other_programs_files_do_not_stop_the_others(layout, caplog):
    write(layout.root / "half" / "manifest.json", json.dumps({"complete": False}))
    write(layout.root / "web" / "manifest.json", json.dumps({"name": "an app"}))
    register_all(layout.root)
    assert "lesions_train" in DatasetCatalog
    assert "did not finish" in caplog.text
    assert "web" not in caplog.text


def test_detectron2s_own_names_are_left_alone(layout, caplog):
    known = MetadataCatalog.get("coco_2017_train").json_file
    layout.folder.rename(layout.root / "coco")
    renamed = layout.root / "coco" / "manifest.json"
    content = json.loads(renamed.read_text())
    content["splits"]["2017_train"] = content["splits"].pop("train")
    renamed.write_text(json.dumps(content))
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


def test_a_path_may_be_relative(layout, monkeypatch):
    monkeypatch.chdir(layout.root)
    register_paths(["lesions:val_tiles"])
    metadata = MetadataCatalog.get("lesions:val_tiles")
    assert metadata.json_file == str(layout.annotations("val", tiles=True))
    monkeypatch.chdir("/")  # loaders may run elsewhere
    assert metadata.image_root == str(layout.tiles)


def test_paths_that_lead_nowhere(layout, tmp_path):
    with pytest.raises(UserError, match=r"'.*lesions:tarin'; there are train, val\."):
        register_paths([f"{layout.folder}:tarin"])
    with pytest.raises(UserError, match=r"none/manifest\.json"):
        register_paths([f"{tmp_path}/none/annotations/train.json"])


def test_a_split_without_tiles_names_what_makes_them(layout):
    register_paths([f"{layout.folder}:train_tiles"])
    with pytest.raises(UserError, match="train_tiles"):
        DatasetCatalog.get(f"{layout.folder}:train_tiles")


def test_a_changed_source_does_not_load(layout, tmp_path):
    register_all(layout.root)
    (tmp_path / "src" / "train" / "labels" / "a.txt").write_text("")
    with pytest.raises(UserError, match=r"a\.txt, which changed"):
        DatasetCatalog.get("lesions_train")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b:train", ("a/b", "train")),
        ("C:\\sets\\acne:train_tiles", ("C:\\sets\\acne", "train_tiles")),
        ("/x/annotations/val.json", ("/x", "val")),
        ("annotations/val.json", (".", "val")),
        ("toy_trainval_0_tiles", None),
        ("x/val.json", None),
        (":train", None),
        ("a:", None),
    ],
)
def test_paths_and_other_names(name, expected):
    found = split_path(name)
    assert (found and (str(found[0]), found[1])) == expected


def test_the_names_of_a_config(tmp_path):
    cfg = OmegaConf.create(
        {
            "dataloader": {
                "train": {"dataset": {"names": ["a", "b:c"]}},
                "test": {"dataset": {"names": "d"}},
                "evaluator": {"dataset_name": "${..test.dataset.names}"},
            }
        }
    )
    assert dataset_names(cfg) == ["a", "b:c", "d"]
    assert dataset_names(OmegaConf.create({})) == []


def test_paths_pass_through_the_command_line():
    cfg = OmegaConf.create({"dataloader": {"train": {"dataset": {"names": "a"}}}})
    for name in ("a/b-c_1.2:train_tiles", "../x/annotations/train.json", "/x/y:z"):
        changed = LazyConfig.apply_overrides(cfg, [f"dataloader.train.dataset.names={name}"])
        assert dataset_names(changed) == [name]
