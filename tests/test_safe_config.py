"""Configs that came with weights: what a training saves comes back, and nothing else is built.

What strangers may put into them is tried in `tests/checkpoint/test_hostile_bundles.py`.
"""

import copy
import inspect
import re
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.config import LazyConfig, instantiate

from acnet.config import available_configs, load_config, plain_config, save_config
from acnet.constructors import CONSTRUCTORS, WITHOUT_EFFECT, build, constructor_of
from acnet.errors import UserError
from acnet.safe_config import load_saved_config, parse_saved_config

TOY = "toy/acnet_r18"


def plain(cfg) -> dict:
    """Return a config's values, without arguments that do nothing."""
    values = plain_config(cfg, source="")
    for name, arguments in WITHOUT_EFFECT.items():
        for node in _nodes(values):
            if node.get("_target_") == name:
                for argument, value in arguments.items():
                    assert node.pop(argument, value) == value
    return values


def _nodes(value) -> list[dict]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [node for one in inner for node in _nodes(one)]
    return [value, *found] if isinstance(value, dict) else found


@pytest.mark.parametrize("name", available_configs())
def test_every_config_comes_back_as_it_was_saved(name: str, tmp_path: Path):
    cfg, path = load_config(name), tmp_path / "config.yaml"
    save_config(cfg, path)
    again = load_saved_config(path)
    assert plain(again) == plain(cfg)
    text = path.read_text()
    save_config(again, path)
    assert yaml.safe_load(path.read_text()) == plain(yaml.safe_load(text))


def test_a_saved_one_stage_detector_finds_as_many_classes_as_it_is_told(tmp_path: Path):
    save_config(load_config("toy/table4/ssd_r18"), tmp_path / "config.yaml")
    cfg = load_config(tmp_path / "config.yaml", ["model.num_classes=2"])
    assert cfg.model.head.num_classes == 2


def test_what_detectron2_saves_with_references_is_read_as_well(tmp_path: Path):
    LazyConfig.save(load_config(TOY), str(tmp_path / "config.yaml"))
    assert "${" in (tmp_path / "config.yaml").read_text()
    assert plain(load_saved_config(tmp_path / "config.yaml")) == plain(load_config(TOY))


def test_a_tuple_is_read_as_a_list(tmp_path: Path):
    # omegaconf 2.4 writes tuples with PyYAML's tag for them.
    path = tmp_path / "config.yaml"
    save_config(load_config(TOY), path)
    before = path.read_text()
    lists = before.replace("pre_nms_topk:\n", "pre_nms_topk: !!python/tuple\n")
    assert lists != before
    path.write_text(lists)
    assert plain(load_saved_config(path)) == plain(load_config(TOY))
    tagged = re.sub(r"pre_nms_topk:\n(?: *- \d+\n)+", "pre_nms_topk: !!python/tuple 1\n", before)
    path.write_text(tagged)
    with pytest.raises(UserError, match="tag"):
        load_saved_config(path)


def test_our_builder_and_detectron2s_build_the_same_model(tmp_path: Path):
    save_config(load_config(TOY), tmp_path / "config.yaml")
    cfg = load_saved_config(tmp_path / "config.yaml")
    torch.manual_seed(0)
    ours = build(plain(cfg)["model"]).state_dict()
    torch.manual_seed(0)
    theirs = instantiate(cfg.model).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_every_constructor_is_there_and_takes_its_arguments(name: str):
    found = constructor_of(name)
    assert callable(found)
    # Of those without **kwargs the arguments are checked by name, a class's by its parents too.
    parents = found.__mro__ if inspect.isclass(found) else (found,)
    taken: set[str] = set()
    for parent in parents:
        parameters = inspect.signature(parent).parameters
        taken |= parameters.keys()
        if all(one.kind is not one.VAR_KEYWORD for one in parameters.values()):
            break
    else:
        return
    if "kwargs" in taken or "args" in taken:
        return
    assert CONSTRUCTORS[name][1].keys() <= taken


def test_earlier_spellings_of_a_module_are_read():
    content = plain(load_config(TOY))
    for node in _nodes(content):
        target = node.get("_target_", "")
        if target.startswith("acnet."):
            node["_target_"] = f"acnet.some.place.of.before.{target.rpartition('.')[2]}"
    cfg = parse_saved_config(yaml.safe_dump(content), source="x")
    assert plain(cfg) == plain(load_config(TOY))


def test_a_config_writes_only_below_the_current_folder_or_into_its_own(tmp_path: Path):
    content = plain(load_config(TOY))

    def output_of(folder: str) -> str:
        text = copy.deepcopy(content)
        text["train"]["output_dir"] = text["dataloader"]["evaluator"]["output_dir"] = folder
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(text))
        cfg = load_saved_config(tmp_path / "config.yaml")
        assert cfg.dataloader.evaluator.output_dir == cfg.train.output_dir
        return cfg.train.output_dir

    assert output_of("output/run") == "output/run"
    assert output_of(str(tmp_path)) == str(tmp_path)
    assert output_of("/etc") == str(tmp_path)  # a run's folder that was moved goes on where it is
    assert output_of("output/../../run") == str(tmp_path)


def test_an_address_is_not_fetched(tmp_path: Path, caplog):
    for address, kept in (
        ("https://example.org/x.pth", ""),
        ("detectron2://../x.pkl?y", ""),
        ("detectron2://ImageNetPretrained/MSRA/R-101.pkl",) * 2,
        ("weights/x.pth",) * 2,
    ):
        content = plain(load_config(TOY))
        content["train"]["init_checkpoint"] = address
        cfg = parse_saved_config(yaml.safe_dump(content), source="x")
        assert cfg.train.init_checkpoint == kept
    assert "is left out" in caplog.text


@pytest.mark.parametrize(
    ("photos", "fault"),
    [
        ({"size_px": 10**6}, "photos.size_px is 1000000"),
        ({"lesion_px": 0.0}, "photos.lesion_px is 0.0"),
        ({"side": 1}, "photos.side is unknown"),
        (640, "photos is 640"),
    ],
)
def test_the_size_of_photos_is_checked(photos, fault):
    content = plain(load_config(TOY))
    for good in ({"size_px": 640, "lesion_px": 34.0}, {"size_px": None}):
        text = yaml.safe_dump({**content, "photos": good})
        assert parse_saved_config(text, source="x").photos == good
    with pytest.raises(UserError, match=fault):
        parse_saved_config(yaml.safe_dump({**content, "photos": photos}), source="x")


def test_what_is_no_utf8_is_refused(tmp_path: Path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_saved_config(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "name",
    ["/data/my sets/acné:train", "sets/annotations/valid_tiles.json", "C:\\sets\\acne:test_0"],
)
def test_data_sets_may_be_named_by_their_path(name: str, tmp_path: Path):
    cfg = load_config(TOY)
    cfg.dataloader.train.dataset.names = cfg.dataloader.test.dataset.names = name
    save_config(cfg, tmp_path / "config.yaml")
    assert load_saved_config(tmp_path / "config.yaml").dataloader.test.dataset.names == name
