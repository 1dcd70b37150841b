"""Configs that mean the same read the same."""

from detectron2.config import LazyCall as L
from omegaconf import OmegaConf
from torch import nn

from acnet.config import load_config
from projects.ACNet.tables.record import canonical, differences


class Child(nn.Conv2d):
    def __init__(self, *, extra: int = 3, **kwargs):
        super().__init__(**kwargs)


def test_values_by_dotted_name_without_defaults():
    node = L(nn.Conv2d)(in_channels=2, out_channels=4, kernel_size=3, padding=1, bias=True)
    assert canonical(node) == {
        "_target_": "torch.nn.modules.conv.Conv2d",
        "in_channels": 2,
        "kernel_size": 3,
        "out_channels": 4,
        "padding": 1,  # the default is 0; that of bias is True, so it is left out
    }


def test_defaults_of_parents_are_known_where_arguments_are_handed_on():
    node = L(Child)(in_channels=2, out_channels=4, kernel_size=3, extra=3, stride=1, padding=1)
    assert set(canonical(node)) == {
        "_target_", "in_channels", "kernel_size", "out_channels", "padding"
    }  # fmt: skip


def test_nodes_within_lists_and_values_by_reference():
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
