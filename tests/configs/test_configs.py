"""Every config loads, survives being saved, builds, and trains a step."""

import copy
import pickle
import re
from functools import cache
from itertools import chain

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.modeling import ResNet
from detectron2.structures import Boxes, Instances
from omegaconf import OmegaConf
from torch import nn

from acnet.checkpoint import ACNetCheckpointer
from acnet.checkpoint.conventions import conventions_of_model
from acnet.cli.train import read_sizes
from acnet.config import CONFIG_ROOT, available_configs
from acnet.engine.train import build_model
from acnet.modeling import RFCNROIHeads
from projects.ACNet.analyze_model import count_parts

NAMES = available_configs()
# The tests of the others, which have neither an RPN nor ROI heads, are in tests/projects/peers.
TWO_STAGE = [
    name
    for name in NAMES
    if not re.match(r"(ssd|rfbnet|des|dssd|refinedet)\d*_", name.rpartition("/")[2])
]


def _read(name):
    return LazyConfig.load(str(CONFIG_ROOT / f"{name}.py"))


_read_once = cache(_read)


def _load(name):
    return copy.deepcopy(_read_once(name))


@cache
def _model(name):
    """The model on the meta device: every shape and no memory."""
    with torch.device("meta"):
        return instantiate(_load(name).model)


def _narrow(cfg):
    """The same row on ResNet-18 widths, quick enough for a test: only numbers change."""
    model = cfg.model
    model.proposal_generator.post_nms_topk = (50, 50)
    model.roi_heads.batch_size_per_image = 16
    if _resnets(model.backbone)[0].stages.depth == 18:
        return cfg  # a toy row, which has these widths
    # From random weights a frozen BN lets activations grow until every sigmoid is flat.
    for resnet in _resnets(model.backbone):
        resnet.stem.update(out_channels=8, norm="BN")
        resnet.stages.update(depth=50, stem_channels=8, norm="BN")
        resnet.freeze_at = 0
    if "box_head" in model.roi_heads:
        return cfg  # FPN, whose channels do not follow the ResNet's
    # res5 reads what MAMA gives: a stem of 8 makes 128 of the 1024 channels.
    model.proposal_generator.head.update(in_channels=128, conv_dims=[16])
    model.roi_heads.res5.update(depth=50, stem_channels=8, norm="BN")
    if "hidden_channels" not in model.roi_heads:
        model.roi_heads.box_predictor.input_shape.channels = 256
    if "couplenet" in cfg.train.output_dir:
        model.roi_heads.box_predictor.update(global_channels=16, hidden_channels=32)
    if "bottom_up" in model.backbone:
        mama = "width" in model.backbone
        own = {"width": 0.125, "mask_channels": 8} if mama else {"out_channels": 128}
        model.backbone.update(own)
        # A reduction of 16 would leave 6 hidden units here, which may all be dead at birth.
        model.backbone.bottom_up.update(out_channels=32, reduction=2)
    return cfg


def _resnets(backbone):
    """The nodes of all ResNets, wherever they are."""
    if "stages" in backbone:
        return [backbone]
    inner = [backbone[key] for key in ("bottom_up", "lead", "assistant") if key in backbone]
    return [resnet for one in inner for resnet in _resnets(one)]


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


@pytest.mark.parametrize(
    ("folder", "depth", "row_h"), [("acne04", "r101", "acnet_r101"), ("toy", "r18", "table2/acnet")]
)
def test_the_rows_of_the_paper_are_all_there(folder, depth, row_h):
    there = {name.removeprefix(f"{folder}/") for name in NAMES if name.startswith(folder)}
    table1 = {f"table1/faster_rcnn_{depth}_c4", f"table1/rfcn_{depth}"}
    table2 = {name for name in there if name.startswith("table2/")}
    assert table1 == {name for name in there if name.startswith("table1/")}
    assert len(table2 | {row_h}) == 9  # baseline and (a) to (h)
    assert len([name for name in there if name.startswith("table3/")]) == 6
    assert {row_h, f"faster_rcnn_{depth}_fpn"} <= there
    table4 = {f"voc07/{name}_{depth}" for name in ("acnet", "rfcn")}
    assert table4 | {f"voc07/faster_rcnn_{depth}_c4"} <= set(NAMES)


def test_the_other_rows_of_table_4_are_there():
    small = {"couplenet": (), "dssd": (321, 513), "refinedet": (320, 512)}
    small |= dict.fromkeys(("ssd", "rfbnet", "des"), (300, 512))
    assert {f"toy/table4/{name}_r18" for name in small} <= set(NAMES)
    large = {f"voc07/{name}{px}" for name, both in small.items() for px in both}
    assert {*large, "voc07/couplenet"} <= {re.sub("_vgg16|_r101", "", name) for name in NAMES}


@pytest.mark.parametrize(
    ("beginnings", "number", "own_part"),
    [
        (("toy/table", "toy/faster_rcnn"), 2 + 9 + 6 + 6 + 1, "model"),
        (("toy/table2/", "toy/table3/"), 9 + 6, "backbone"),
        ("toy/tuned/table2/", 9, "backbone"),
    ],
)
def test_rows_differ_in_their_model_or_backbone_alone(beginnings, number, own_part):
    """Equal data, schedule and heads by construction: what a row gains is its parts' doing."""
    rows = [name for name in NAMES if name.startswith(beginnings)]
    shared = set()
    for name in rows:
        cfg = _load(name)
        assert cfg.train.output_dir == f"output/{name}"
        (cfg if own_part == "model" else cfg.model).pop(own_part)
        del cfg.train.output_dir
        shared.add(OmegaConf.to_yaml(cfg))
    assert (len(rows), len(shared)) == (number, 1)


@pytest.mark.parametrize("name", [name for name in NAMES if "rcnn" in name or "rfcn" in name])
def test_other_detectors_have_the_anchors_and_losses_of_acnet(name):
    """The paper: "with same hyper-parameter settings"; on VOC it quotes the others' numbers."""
    folder = name.partition("/")[0]
    acnet = _load(f"{folder}/acnet_{'r101' if 'r101' in name else 'r18'}").model
    other = _load(name).model
    sizes = [model.proposal_generator.anchor_generator.sizes for model in (acnet, other)]
    if name not in ("voc07/faster_rcnn_r101_c4", "voc07/rfcn_r101"):
        assert [*chain(*sizes[0])] == [*chain(*sizes[1])]
    for key in ("num_classes", "batch_size_per_image", "positive_fraction", "proposal_matcher"):
        assert acnet.roi_heads[key] == other.roi_heads[key]
    for key in ("test_topk_per_image", "box2box_transform", "num_classes", "smooth_l1_beta"):
        assert acnet.roi_heads.box_predictor[key] == other.roi_heads.box_predictor[key]
    for key in ("pixel_mean", "pixel_std", "input_format"):
        assert acnet[key] == other[key]


@pytest.mark.parametrize("name", TWO_STAGE)
def test_anchors_have_their_place_on_every_level(name):
    """Strides that do not fit the backbone's move every anchor, and nothing else would say so."""
    generator = _load(name).model.proposal_generator
    model = _model(name)
    shapes = model.backbone.output_shape()
    assert [shapes[level].stride for level in generator.in_features] == list(
        generator.anchor_generator.strides
    )
    assert model.roi_heads.num_classes == (20 if name.startswith("voc07/") else 1)
    heads = model.roi_heads
    if isinstance(heads, RFCNROIHeads):
        assert heads.box_predictor.spatial_scale == 1 / shapes[heads.in_feature].stride
    else:
        pooler = heads.pooler if hasattr(heads, "pooler") else heads.box_pooler
        scales = [1 / shapes[level].stride for level in heads.in_features]
        assert [level.spatial_scale for level in pooler.level_poolers] == scales
    anchors = generator.anchor_generator
    assert generator.head.num_anchors == len(anchors.aspect_ratios) * len(anchors.sizes[0])


def test_tuned_rows_have_the_parts_of_their_twins():
    for name in [name for name in NAMES if name.startswith("toy/tuned/table2/")]:
        tuned = _load(name).model.backbone
        paper = _load(name.replace("tuned/", "")).model.backbone
        assert _parts(tuned) == _parts(paper)
        assert tuned != paper
    gates = [_load(name).model.backbone.gate for name in ("toy/table2/acnet", "toy/acnet_r18")]
    assert gates == ["product", "residual"]  # the paper's, and the demo's


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts(name):
    """Golden, in sizes.csv: trainable and frozen. docs/lab/model_size.md derives some by hand."""
    parameters = sum(one.numel() for one in _model(name).parameters())
    assert read_sizes()[name][0] == parameters, f"the row of {name} is {parameters}"


FEW = ("acne04/acnet_r101", "toy/table1/rfcn_r18", "toy/faster_rcnn_r18_fpn", "toy/table2/baseline")


@pytest.mark.parametrize(
    "name",
    [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in TWO_STAGE],
)
def test_multiply_accumulates(name):
    gmacs = sum(macs for _, macs in count_parts(_load(name), (640, 640))[1].values()) / 1e9
    assert read_sizes()[name][1] == pytest.approx(gmacs, rel=0.01), f"{name} has {gmacs:.1f}"


def test_configs_do_not_leak_into_each_other():
    before = OmegaConf.to_yaml(_read("acne04/acnet_r101").train)
    for name in NAMES:
        _read(name)
    assert OmegaConf.to_yaml(_read("acne04/acnet_r101").train) == before


FROM_MSRA = [name for name in TWO_STAGE if "/MSRA/" in _read_once(name).train.init_checkpoint]


@pytest.mark.parametrize("name", FROM_MSRA)
def test_a_training_starts_from_the_imagenet_file_of_its_config(name, tmp_path):
    """As the training builds the model, whose pooler may take the stride of res5 over."""
    cfg = _narrow(_load(name))
    cfg.train.device = "cpu"
    model = build_model(cfg)
    assert conventions_of_model(model) == conventions_of_model(instantiate(cfg.model))
    trunk = next(one for one in model.modules() if isinstance(one, ResNet))
    state = dict(trunk.state_dict())
    res5 = getattr(model.roi_heads, "res5", nn.Module()).state_dict()
    state |= {f"res5.{key}": value for key, value in res5.items()}
    weights = {key: value.numpy() + 1 for key, value in state.items() if value.dim()}
    file = tmp_path / "R-50.pkl"
    file.write_bytes(pickle.dumps({"model": weights, "__author__": "MSRA"}))
    ACNetCheckpointer(model).resume_or_load(str(file), resume=False)
    key = "res4.0.conv1.weight"
    assert torch.equal(trunk.state_dict()[key], torch.from_numpy(weights[key]))


@pytest.mark.parametrize("name", TWO_STAGE)
def test_every_row_trains_a_step_and_reaches_every_parameter(name, event_storage):
    model = instantiate(_narrow(_load(name)).model).train()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=0.01)
    batch = [_image(64, 64, [[4, 4, 30, 28]]), _image(48, 64, [])]
    # Layers that start at zero pass nothing on in the first step, and a fusion's scores lie behind
    # two of them: its gain, and its own last layer.
    for _ in range(3):
        optimizer.zero_grad()
        sum(model(batch).values()).backward()
        optimizer.step()
    for parameter_name, parameter in trained.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def test_schedules_end_low_and_the_papers_drops_after_every_ten_of_thirty_epochs():
    for name in NAMES:
        schedule = instantiate(_load(name).lr_multiplier)
        assert schedule(0.5) <= 1, name
        assert schedule(0.999) <= 0.011, name
    schedule = instantiate(_load("acne04/acnet_r101").lr_multiplier)
    multipliers = [schedule(epoch / 30) for epoch in (0, 9.99, 10, 19.99, 20, 29.99)]
    assert multipliers == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_reading_configs_imports_no_evaluation(run_code):
    code = "from acnet.config import available_configs, load_config\n"
    _, imported = run_code(code + "for name in available_configs(): load_config(name)")
    assert not [name for name in imported if name.startswith("acnet.evaluation")]
