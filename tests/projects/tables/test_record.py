"""Records: what is written is what is read; configs that mean the same read the same."""

import json

import numpy as np
import pytest
from detectron2.config import LazyCall as L
from omegaconf import OmegaConf
from torch import nn

from acnet.config import load_config
from acnet.errors import UserError
from projects.ACNet.tables.record import (
    canonical,
    differences,
    read_record,
    read_records,
    write_record,
)
from tests.projects.tables.samples import add_record


def test_a_record_comes_back_to_a_hundredth_and_equal_ones_have_equal_bytes(tmp_path):
    replicates = np.array([[12.344, np.nan, 100.0], [0.0, 55.556, 3.0]])
    content = {"row": "toy/x", "form": "paper", "seed": 3, "settings": {}}
    content |= {"model": {}, "tests": {"a": {}}}
    paths = [tmp_path / name / "seed_3.json" for name in "ab"]
    for path in paths:
        write_record(path, content, {"a": replicates})
    record = read_record(paths[0])
    assert (record.row, record.form, record.seed, record.settings) == ("toy/x", "paper", 3, {})
    expected = [[12.34, np.nan, 100.0], [0.0, 55.56, 3.0]]
    np.testing.assert_allclose(record.replicates["a"], expected, rtol=1e-12)
    for suffix in (".json", ".npz"):
        one, other = (path.with_suffix(suffix).read_bytes() for path in paths)
        assert one == other


def test_an_older_record_names_forms_and_classes_as_of_today(tmp_path):
    path = add_record(tmp_path, "toy/table2/cb", 1, 30.0, optimizer="acnet.old.place.Optimizer")
    path.write_text(path.read_text().replace('"form": "paper"', '"form": "letter"'))
    record = read_record(path)
    assert (record.form, record.settings["optimizer"]) == ("paper", "acnet.Optimizer")


def test_records_come_in_sorted_order_and_a_missing_folder_has_none(tmp_path):
    for config, seed in (("toy/table2/cb_frm", 2), ("toy/table2/cb", 10), ("toy/table2/cb", 1)):
        add_record(tmp_path, config, seed, 30.0)
    found = [(record.row, record.seed) for record in read_records(tmp_path)]
    assert found == [("toy/table2/cb", 1), ("toy/table2/cb", 10), ("toy/table2/cb_frm", 2)]
    assert list(read_records(tmp_path / "nothing")) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text()[:-20]),
        lambda path: path.with_suffix(".npz").unlink(),
        lambda path: path.write_text(
            json.dumps(json.loads(path.read_text()) | {"schema_version": 99})
        ),
    ],
    ids=["cut", "without replicates", "of another version"],
)
def test_a_broken_record_is_named(tmp_path, damage):
    path = add_record(tmp_path, "toy/table2/cb", 1, 30.0)
    damage(path)
    with pytest.raises(UserError, match=r"seed_1\.json.*Delete it"):
        read_record(path)


class Child(nn.Conv2d):
    def __init__(self, *, extra: int = 3, **kwargs):
        super().__init__(**kwargs)


def test_values_by_dotted_name_without_defaults():
    node = L(nn.Conv2d)(in_channels=2, out_channels=4, kernel_size=3, padding=1, bias=True)
    expected = {
        "_target_": "torch.nn.modules.conv.Conv2d",
        "in_channels": 2,
        "kernel_size": 3,
        "out_channels": 4,
        "padding": 1,  # the default is 0; that of bias is True, so it is left out
    }
    assert canonical(node) == expected
    # Defaults of parents are known where arguments are handed on.
    node = L(Child)(in_channels=2, out_channels=4, kernel_size=3, extra=3, stride=1, padding=1)
    assert canonical(node).keys() == expected.keys()
    # Nodes within lists, and values by reference.
    cfg = OmegaConf.create(
        {"a": 5, "part": {"layers": [{"n": "${a}"}, {"n": 2}], "sizes": [1, 2]}},
        flags={"allow_objects": True},
    )
    assert canonical(cfg.part) == {"layers[0].n": 5, "layers[1].n": 2, "sizes": [1, 2]}


def test_rows_that_are_the_same_model_and_rows_that_are_not():
    acnet, l2_l4, frm = (
        canonical(load_config(f"toy/{name}").model)
        for name in ("table2/acnet", "table3/l2_l4", "table2/cb_frm")
    )
    assert acnet == l2_l4
    assert acnet != frm


def test_differences_by_hand():
    here = {"a": 1, "b": {"x": 1, "y": 2}, "schedule": 1}
    there = {"a": 1, "b": {"x": 1, "y": 3}, "schedule": 2, "c": 4}
    assert differences(here, there) == {"b: y": (2, 3), "c": (None, 4), "schedule": (1, 2)}
    assert "schedule" not in differences(here, there, same_form=False)
    assert differences({}, canonical(OmegaConf.create({}))) == {}
