"""The one-stage detectors of Table IV: what their configs build, learn and load."""

import json
import os
import re
from argparse import Namespace
from functools import cache
from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate
from detectron2.data import MetadataCatalog
from detectron2.data.datasets.pascal_voc import register_pascal_voc
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import SSD300_VGG16_Weights

from acnet.checkpoint import ACNetCheckpointer
from acnet.cli.train import read_sizes
from acnet.config import available_configs, load_config
from acnet.engine.train import default_train
from acnet.errors import WeightsMismatchError
from tests.projects.peers.test_single_shot import picture

PEERS = [
    name
    for name in available_configs()
    if name.startswith("toy/table4/")
    or (name.startswith("voc07/") and re.search("_vgg16|dssd|couplenet", name))
]
ONE_STAGE = [name for name in PEERS if "couplenet" not in name]
TOY = [name for name in PEERS if name.startswith("toy/")]
slow = pytest.mark.slow


def input_px(cfg) -> int:
    """The side of what a config shows its model: 640 where the photos decide."""
    first = (cfg.dataloader.test.mapper.augmentations or [{}])[0]
    return first.get("shape", [640])[0]


@cache
def built(name: str, num_classes: int = 0):
    """A config's model on the meta device, its levels and their predictions, and its GMACs."""
    cfg = load_config(name)
    cfg.model.num_classes = num_classes or cfg.model.num_classes
    size = input_px(cfg)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = instantiate(cfg.model).eval()
        levels = model.backbone(torch.empty(1, 3, size, size))
        levels = [levels[level] for level in model.head_in_features]
        predictions = model.head(levels)
    return model, levels, predictions, counter.get_total_flops() / 2e9


@pytest.mark.parametrize("name", ONE_STAGE)
def test_every_default_box_has_its_prediction_and_the_work_is_as_listed(name):
    model, levels, predictions, gmacs = built(name)
    boxes = [len(of_level) for of_level in model.default_boxes(levels)]
    assert boxes == [level.shape[1] // 4 * level.shape[2:].numel() for level in predictions[1]]
    assert model.num_classes == (20 if name.startswith("voc07/") else 1)
    assert read_sizes()[name][1] == pytest.approx(gmacs, rel=0.01), f"{name} has {gmacs:.1f}"


BOXES = {"ssd300": 8732, "ssd512": 24564, "rfbnet300": 11620, "rfbnet512": 32756}
BOXES |= {"refinedet320": 6375, "refinedet512": 16320}


@pytest.mark.parametrize(("name", "published"), BOXES.items())
def test_the_boxes_are_as_many_as_the_authors_name(name, published):
    model, levels, *_ = built(f"voc07/{name}_vgg16")
    assert len(model.boxes_of(levels)) == published


def test_ssd300_is_as_large_as_torchvisions():
    meta = SSD300_VGG16_Weights.COCO_V1.meta
    model, *_, gmacs = built("voc07/ssd300_vgg16", len(meta["categories"]) - 1)
    assert sum(one.numel() for one in model.parameters()) == meta["num_params"]
    assert gmacs == pytest.approx(meta["_ops"], abs=0.001)


def losses_of(model, batch, optimizer) -> float:
    optimizer.zero_grad()
    losses = model(batch)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    total = sum(losses.values())
    total.backward()
    optimizer.step()
    return total.item()


@pytest.mark.parametrize(
    "name", [name if name in TOY else pytest.param(name, marks=slow) for name in ONE_STAGE]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_falls_and_reaches_every_parameter(name, dtype, event_storage):
    cfg = load_config(name)
    model = instantiate(cfg.model).train()
    size = 96 if name in TOY else input_px(cfg)
    batch = [picture(size, [[8, 8, 44, 36], [50, 60, 60, 70]], [0, 0]), picture(size, [], [])]
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=1e-3, momentum=0.9)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        losses = [losses_of(model, batch, optimizer) for _ in range(6)]
        assert losses_of(model, batch[1:], optimizer) >= 0  # nothing to find anywhere
        found = model.eval()(batch)
    assert losses[-1] < losses[0]
    assert len(found) == 2
    assert [key for key, one in trained.items() if one.grad is None] == []


def test_imagenet_weights_fill_vgg_and_nothing_else(tmp_path):
    model = instantiate(load_config("voc07/ssd300_vgg16").model)
    file = tmp_path / "vgg16.pth"
    features = model.backbone.bottom_up.features
    given = {f"features.{key}": one + 1 for key, one in features.state_dict().items()}
    torch.save({**given, "classifier.6.bias": torch.zeros(1000)}, file)
    conv6 = model.backbone.bottom_up.conv6.weight.clone()
    checkpointer = ACNetCheckpointer(model)
    checkpointer.load(str(file))
    for name, value in features.state_dict().items():
        assert torch.equal(value, given[f"features.{name}"])
    assert torch.equal(model.backbone.bottom_up.conv6.weight, conv6)
    assert list(checkpointer.report.unused) == ["classifier.6.bias"]
    model.pixel_std.fill_(1.0)
    with pytest.raises(WeightsMismatchError, match="pixel_std"):
        checkpointer.load(str(file))
    torch.save({**given, "features.30.weight": torch.zeros(1)}, file)  # VGG-19 goes on
    with pytest.raises(WeightsMismatchError, match=r"features\.30"):
        ACNetCheckpointer(instantiate(load_config("voc07/ssd300_vgg16").model)).load(str(file))


@slow
@pytest.mark.parametrize("name", TOY)
def test_it_learns_real_photos_by_heart(name, voc100, tmp_path):
    """AP50 of the photos that it is trained on is at least 60.

    python -m pytest tests/projects/peers -m slow -k "by_heart and ssd" -o faulthandler_timeout=0

    A quarter of an hour a detector on one core. By AdamW: with SGD, the rows' own, RefineDet had an
    AP50 of 9 after as many steps.
    """
    dataset = f"by_heart_{Path(name).name}"
    register_pascal_voc(dataset, str(voc100), "trainval", 2007)
    MetadataCatalog.get(dataset).evaluator_type = "pascal_voc"
    cfg, data = load_config(name), load_config("voc07/acnet_r18")
    cfg.dataloader, cfg.train, cfg.lr_multiplier = data.dataloader, data.train, data.lr_multiplier
    cfg.optimizer = load_config("toy/stand_in").optimizer
    fit_to_voc(cfg.model)
    for loader in (cfg.dataloader.train, cfg.dataloader.test):
        loader.dataset.names, loader.num_workers = dataset, 0
    cfg.train.max_iter = cfg.train.eval_period = int(os.environ.get("ACNET_STEPS", "1000"))
    cfg.train.output_dir = str(tmp_path)
    default_train(cfg, Namespace(resume=False))
    lines = map(json.loads, (tmp_path / "metrics.json").read_text().splitlines())
    assert [line["bbox/AP50"] for line in lines if "bbox/AP50" in line][-1] >= 60


def fit_to_voc(model) -> None:
    """Give a toy twin VOC's classes, and boxes of 32 to 256 pixels in place of 8 to 64."""
    if "roi_heads" in model:
        model.roi_heads.num_classes = 20
        model.proposal_generator.anchor_generator.sizes = [[32, 64, 128, 256]]
        return
    model.num_classes = 20
    boxes = model.default_boxes
    boxes.sizes = [[4 * side for side in of_level] for of_level in boxes.sizes]
