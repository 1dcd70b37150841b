from pathlib import Path

import pytest
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf

from acnet.config import CONFIG_ROOT, available_configs, load_config
from acnet.errors import UserError
from acnet.safe_config import load_saved_config, parse_saved_config


def _saved(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", available_configs())
def test_every_config_comes_back_as_it_was_saved(name, tmp_path):
    path = tmp_path / "config.yaml"
    LazyConfig.save(load_config(name), str(path))
    again = tmp_path / "again.yaml"
    LazyConfig.save(load_config(path), str(again))
    assert path.read_text() == again.read_text()


def test_a_saved_config_builds_the_same_model(tmp_path):
    path = tmp_path / "config.yaml"
    LazyConfig.save(LazyConfig.load(str(CONFIG_ROOT / "toy/acnet_r18.py")), str(path))
    names = [name for name, _ in instantiate(load_saved_config(path).model).named_parameters()]
    original = instantiate(load_config("toy/acnet_r18").model)
    assert names == [name for name, _ in original.named_parameters()]


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "detectron2.data.build.os.system",  # another module's, by way of a trusted one
        "detectron2.data.build.pickle.loads",
        "acnet.files.write_text",  # writes where it is told to
        "torch.load",
        "acnet.modeling.no_such_thing",
        "detectron2.modelingevil.Thing",
        "detectron2.modeling",
        7,
    ],
)
def test_what_is_no_part_of_a_detector_is_refused(target, tmp_path):
    cfg = {"model": {"_target_": "acnet.modeling.ACNet", "parts": [{"_target_": target}]}}
    path = _saved(tmp_path / "config.yaml", OmegaConf.to_yaml(cfg))
    with pytest.raises(UserError, match=r"only parts of acnet.*config\.yaml"):
        load_saved_config(path)


def test_yaml_tags_run_nothing(tmp_path):
    witness = tmp_path / "witness"
    text = f"model: !!python/object/apply:os.system ['touch {witness}']\n"
    with pytest.raises(UserError, match="plain values"):
        load_config(_saved(tmp_path / "config.yaml", text))
    assert not witness.exists()


@pytest.mark.parametrize("text", ["", "- 1\n", "just words", "a: [1", "\x00"])
def test_other_files_are_refused(text, tmp_path):
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_saved_config(_saved(tmp_path / "config.yaml", text))


def test_an_argument_that_is_gone_is_dropped_where_it_had_no_effect():
    text = "model: {bottom_up: [{_target_: acnet.modeling.MaskAwareMultiAttention, %s}]}"
    dropped = parse_saved_config(text % "output_norm: '', width: 1.0", source="a test")
    assert dropped.model.bottom_up[0] == {
        "_target_": "acnet.modeling.MaskAwareMultiAttention",
        "width": 1.0,
    }
    kept = parse_saved_config(text % "output_norm: BN", source="a test")
    assert kept.model.bottom_up[0].output_norm == "BN"
