"""Finding configs by name, and overrides that cannot be misspelt."""

import copy
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from acnet.config import (
    CONFIG_ROOT,
    available_configs,
    load_config,
    prediction_config,
    resolve_config,
    save_config,
)
from acnet.errors import UserError


def _packed(cfg, path: Path) -> None:
    path.write_text(prediction_config(cfg))


TINY = Path(__file__).parent / "engine" / "tiny_config.py"


def test_a_name_a_name_with_suffix_and_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    toy = CONFIG_ROOT / "toy" / "acnet_r18.py"
    assert resolve_config("toy/acnet_r18") == toy
    assert resolve_config("toy/acnet_r18.py") == toy
    assert resolve_config(str(toy)) == toy
    assert resolve_config(TINY) == TINY
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "acnet_r18.py").touch()
    monkeypatch.chdir(tmp_path)  # a file of that path comes first
    assert resolve_config("toy/acnet_r18.py") == Path("toy/acnet_r18.py")
    assert resolve_config("toy/acnet_r18") == toy


def test_available_configs_are_sorted_and_can_be_resolved():
    names = available_configs()
    assert names == sorted(names)
    assert "toy/acnet_r18" in names
    assert not any(name.startswith("common/") for name in names)
    assert all(resolve_config(name).is_file() for name in names)


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ("toy/acnet_r81", "Received 'toy/acnet_r81'. Did you mean toy/acnet_r18"),
        ("toy/acnet_r81.py", "Received 'toy/acnet_r81.py'. Did you mean toy/acnet_r18"),
        *(
            (wrong, "There are: acne04/acnet_r101, .*voc07/acnet_r101")
            for wrong in ("", "README.md")
        ),
        ("toy", "There are: acne04/acnet_r101, .*voc07/acnet_r101"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_or_with_all(wrong: str, answer: str):
    with pytest.raises(UserError, match=answer):
        resolve_config(wrong)


def test_overrides_change_values_and_what_follows_from_them():
    cfg = load_config(TINY, ["train.max_iter=5", "train.amp.enabled=auto", "train.seed=7"])
    assert (cfg.train.max_iter, cfg.train.amp.enabled) == (5, "auto")
    assert cfg.dataloader.train.seed == 7  # interpolated
    assert load_config(TINY).train.max_iter == 12  # nothing leaks into the next
    cfg = load_config(TINY, ["model.nan_at_image=3", "dataloader.test.batch_size=2"])
    assert (cfg.model.nan_at_image, cfg.dataloader.test.batch_size) == (3, 2)  # left out before
    assert load_config(TINY, ["+train.new.key=1"]).train.new.key == 1


def test_a_part_of_a_list_is_named_by_its_place():
    stages = "model.backbone.bottom_up.bottom_up.stages"
    cfg = load_config("voc07/dssd321_r101", [f"{stages}.3.stride_in_1x1=false"])
    assert OmegaConf.select(cfg, stages)[3].stride_in_1x1 is False
    with pytest.raises(UserError, match=rf"Write {stages}\.0\.stride_in_1x1=VALUE"):
        load_config("voc07/dssd321_r101", [f"{stages}.stride_in_1x1=false"])


def test_variables_of_a_config_that_build_something_are_no_part_of_what_is_saved(tmp_path):
    cfg = load_config("toy/acnet_r18")
    cfg.base, cfg.note = [copy.deepcopy(cfg.model)], "mine"
    save_config(cfg, tmp_path / "config.yaml")
    saved = load_config(tmp_path / "config.yaml")
    assert "base" not in saved
    assert saved.note == "mine"


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("train.max_itr=5", "Did you mean train.max_iter"),
        ("trian.max_iter=5", "Did you mean train.max_iter"),
        ("model.nan_at_imag=5", "write +model.nan_at_imag=VALUE"),
        ("train.max_iter.x=5", "write +train.max_iter.x=VALUE"),
        ("train.max_iter 5", "for example, train.max_iter=100"),
        ("--resume", "Move --resume to the front"),
    ],
)
def test_a_wrong_override_is_an_error_with_a_remedy(override: str, remedy: str):
    with pytest.raises(UserError) as error:
        load_config(TINY, ["train.seed=1", override])
    assert remedy in str(error.value)


def test_a_saved_config_holds_values_that_still_belong_together_when_it_is_changed(tmp_path: Path):
    save_config(load_config("toy/acnet_r18"), tmp_path / "config.yaml")
    assert "${" not in (tmp_path / "config.yaml").read_text()
    cfg = load_config(tmp_path / "config.yaml", ["train.max_iter=7", "model.vis_period=2"])
    assert cfg.train.max_iter == 7
    assert cfg.dataloader.train.seed == 42
    assert cfg.model["_target_"] == "acnet.modeling.ACNet"
    overrides = ["dataloader.test.dataset.names=other", "train.seed=7", "train.channels_last=false"]
    cfg = load_config(tmp_path / "config.yaml", overrides)
    assert cfg.dataloader.evaluator.dataset_name == "other"
    assert cfg.dataloader.train.seed == 7
    assert cfg.model.channels_last is False


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${train.${train.device}}", "${x:}"])
@pytest.mark.parametrize("write", [save_config, _packed])
def test_what_comes_from_outside_is_not_written(value: str, write, tmp_path: Path):
    cfg = load_config("toy/acnet_r18")
    cfg.train.best_metric = value
    with pytest.raises(UserError, match=r"read it there by os\.environ"):
        write(cfg, tmp_path / "config.yaml")
    assert list(tmp_path.iterdir()) == []


def test_a_reference_that_leads_nowhere_is_refused(tmp_path: Path):
    cfg = load_config("toy/acnet_r18")
    cfg.train.best_metric = "${train.no_such_key}"
    with pytest.raises(UserError, match="Correct the reference"):
        save_config(cfg, tmp_path / "config.yaml")


def test_a_bundles_config_tells_the_size_of_photos_and_nothing_of_the_training():
    plain = yaml.safe_load(prediction_config(load_config("toy/acnet_r18")))
    assert plain.keys() == {"model", "dataloader", "train"}
    assert plain["train"].keys() == {"amp", "channels_last", "sync_bn"}
    plain = yaml.safe_load(prediction_config(load_config("demo/acnet_r18")))
    assert plain["photos"]["size_px"] == 640
