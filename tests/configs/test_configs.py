"""Every config loads, survives being saved, builds, and trains a step."""

from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.structures import Boxes, Instances
from omegaconf import OmegaConf

CONFIGS = Path(__file__).resolve().parents[2] / "projects" / "ACNet" / "configs"
NAMES = sorted(
    str(path.relative_to(CONFIGS).with_suffix(""))
    for path in CONFIGS.rglob("*.py")
    if path.relative_to(CONFIGS).parts[0] != "common"
)
ROWS = [name for name in NAMES if "/table2/" in name or "/table3/" in name]

# Golden: trainable and frozen parameters. docs/model_size.md derives the first by hand.
PARAMETERS = {
    "acne04/acnet_r101": 106_019_875,
    "acne04/table2/baseline": 48_338_690,
    "acne04/table2/cb": 76_455_298,
    "acne04/table2/cb_dce": 98_583_202,
    "acne04/table2/cb_frm": 79_444_610,
    "acne04/table2/cb_frm_dce": 101_572_514,
    "acne04/table2/cb_frm_mama": 83_891_971,
    "acne04/table2/cb_mama": 80_902_659,
    "acne04/table2/frm_dce_mama": 78_523_043,
    "acne04/table3/l1_l4": 113_429_123,
    "acne04/table3/l1_l4_sum": 83_925_251,
    "acne04/table3/l3_l4": 98_512_323,
    "acne04/table3/l3_l4_sum": 83_760_387,
    "demo/acnet_r18": 4_014_907,  # 8 MB in float16; a release's file may have 12
    "toy/acnet_r18": 7_976_377,
    "toy/table2/acnet": 7_976_377,
    "toy/table2/baseline": 5_197_618,
    "toy/table2/cb": 6_791_266,
    "toy/table2/cb_dce": 7_570_648,
    "toy/table2/cb_frm": 6_916_450,
    "toy/table2/cb_frm_dce": 7_695_832,
    "toy/table2/cb_frm_mama": 7_196_995,
    "toy/table2/cb_mama": 7_071_811,
    "toy/table2/frm_dce_mama": 6_385_129,
    "toy/table3/l1_l4": 8_240_875,
    "toy/table3/l1_l4_sum": 7_201_699,
    "toy/table3/l2_l4": 7_976_377,
    "toy/table3/l2_l4_sum": 7_196_995,
    "toy/table3/l3_l4": 7_711_879,
    "toy/table3/l3_l4_sum": 7_192_291,
    "toy/tuned/table2/acnet": 8_001_721,
    "toy/tuned/table2/baseline": 5_197_874,
    "voc07/acnet_r101": 106_214_530,
    "voc07/acnet_r18": 8_000_792,
}


def _load(name):
    return LazyConfig.load(str(CONFIGS / f"{name}.py"))


def _narrow(cfg):
    """The same row on ResNet-18 widths, quick enough for a test: only numbers change."""
    if "res5" not in cfg.model.roi_heads:
        return cfg  # a toy row, which has these widths
    backbone = cfg.model.backbone
    # res5 reads what MAMA gives: a stem of 8 makes 128 of the 1024 channels.
    if "width" in backbone:
        backbone.update(width=0.125, mask_channels=8)
    else:
        backbone.out_channels = 128
    # A reduction of 16 would leave 6 hidden units here, which may all be dead at birth.
    backbone.bottom_up.update(out_channels=32, reduction=2)
    # From random weights a frozen BN lets activations grow until every sigmoid is flat.
    for resnet in _resnets(backbone.bottom_up.bottom_up):
        resnet.stem.update(out_channels=8, norm="BN")
        resnet.stages.update(depth=50, stem_channels=8, norm="BN")
        resnet.freeze_at = 0
    cfg.model.proposal_generator.head.update(in_channels=128, conv_dims=[16])
    cfg.model.proposal_generator.post_nms_topk = (50, 50)
    heads = cfg.model.roi_heads
    heads.batch_size_per_image = 16
    heads.res5.update(depth=50, stem_channels=8, norm="BN")
    heads.box_predictor.input_shape.channels = 256
    return cfg


def _resnets(levels):
    if "lead" in levels:
        return [levels.lead, levels.assistant]
    return [levels.bottom_up] if "bottom_up" in levels else [levels]


def _parts(node):
    """The classes of a backbone's config, from the outside in."""
    children = [child for child in node.values() if OmegaConf.is_dict(child)]
    own = [node["_target_"]] if "_target_" in node else []
    return own + [part for child in children for part in _parts(child)]


def _image(height, width, boxes):
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.zeros(len(boxes), dtype=torch.long)
    return {"image": torch.randint(0, 256, (3, height, width)), "instances": instances}


@pytest.mark.parametrize(("folder", "row_h"), [("acne04", "acnet_r101"), ("toy", "table2/acnet")])
def test_the_rows_of_the_paper_are_all_there(folder, row_h):
    table2 = {name for name in NAMES if name.startswith(f"{folder}/table2/")}
    assert len(table2 | {f"{folder}/{row_h}"}) == 9  # baseline and (a) to (h)
    assert len([name for name in NAMES if name.startswith(f"{folder}/table3/")]) == 6
    assert f"{folder}/{row_h}" in NAMES


@pytest.mark.parametrize(
    ("folders", "count"), [(("toy/table2/", "toy/table3/"), 15), (("toy/tuned/table2/",), 9)]
)
def test_toy_rows_differ_in_their_backbone_alone(folders, count):
    """Equal data, schedule and heads by construction: what a row gains is its parts' doing."""
    rows = [name for name in NAMES if name.startswith(folders)]
    shared = []
    for name in rows:
        cfg = _load(name)
        assert cfg.train.output_dir == f"output/{name}"
        del cfg.model.backbone, cfg.train.output_dir
        shared.append(OmegaConf.to_yaml(cfg))
    assert len(rows) == count
    assert set(shared) == {shared[0]}


def test_toy_rows_take_the_paper_s_gate_and_the_demo_does_not():
    assert _load("toy/table2/acnet").model.backbone.gate == "product"
    assert _load("toy/acnet_r18").model.backbone.gate == "residual"


def test_tuned_rows_have_the_parts_of_their_twins():
    tuned = [name for name in NAMES if name.startswith("toy/tuned/")]
    for name in tuned:
        backbone, letter = (
            _load(name).model.backbone,
            _load(name.replace("tuned/", "")).model.backbone,
        )
        assert _parts(backbone) == _parts(letter)
        assert backbone != letter


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_config_is_the_same_config(name, tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    LazyConfig.save(_load(name), str(first))  # writes a pickle instead where yaml cannot hold it
    LazyConfig.save(LazyConfig.load(str(first)), str(second))
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_counts(name):
    with torch.device("meta"):
        model = instantiate(_load(name).model)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_configs_do_not_leak_into_each_other():
    before = OmegaConf.to_yaml(_load("acne04/acnet_r101").train)
    for name in NAMES:
        _load(name)
    assert OmegaConf.to_yaml(_load("acne04/acnet_r101").train) == before


@pytest.mark.parametrize("name", ["acne04/acnet_r101", *ROWS])
def test_every_row_trains_a_step_and_reaches_every_parameter(name, event_storage):
    model = instantiate(_narrow(_load(name)).model).train()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=0.01)
    batch = [_image(64, 64, [[4, 4, 30, 28]]), _image(48, 64, [])]
    # Layers that start at zero pass nothing on in the first step, so there are two.
    for _ in range(2):
        optimizer.zero_grad()
        sum(model(batch).values()).backward()
        optimizer.step()
    for parameter_name, parameter in trained.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_schedules_start_warm_or_full_and_end_low(name):
    schedule = instantiate(_load(name).lr_multiplier)
    assert schedule(0.5) <= 1
    assert schedule(0.999) <= 0.011


def test_the_paper_s_schedule_drops_after_every_ten_of_thirty_epochs():
    schedule = instantiate(_load("acne04/acnet_r101").lr_multiplier)
    multipliers = [schedule(epoch / 30) for epoch in (0, 9.99, 10, 19.99, 20, 29.99)]
    assert multipliers == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
