"""The counts against arithmetic on paper: docs/lab/model_size.md walks through it."""

import functools
import re

import pytest
import torch
from detectron2.config import instantiate

from acnet.config import load_config
from benchmarks.models import macs_of_parts
from projects.ACNet.analyze_model import count_parts
from projects.ACNet.tables.rows import known_rows

# Cells of each level of a 640x640 image.
STEM_CONV, L1, L2, L3, L4 = 320**2, 160**2, 160**2, 80**2, 40**2


def conv(in_channels, out_channels, *kernel):
    """Weights of a convolution: 1x1 unless a kernel is given."""
    height, width = (kernel * 2)[:2] if kernel else (1, 1)
    return in_channels * out_channels * height * width


def bottleneck(in_channels, width):
    return conv(in_channels, width) + conv(width, width, 3) + conv(width, 4 * width)


RES2 = bottleneck(64, 64) + conv(64, 256) + 2 * bottleneck(256, 64)
RES3 = bottleneck(256, 128) + conv(256, 512) + 3 * bottleneck(512, 128)
RES4 = bottleneck(512, 256) + conv(512, 1024) + 22 * bottleneck(1024, 256)
RES5 = bottleneck(1024, 512) + conv(1024, 2048) + 2 * bottleneck(2048, 512)
STEM = conv(3, 64, 7)
RESNET = (STEM + RES2 + RES3 + RES4, STEM * STEM_CONV + RES2 * L2 + RES3 * L3 + RES4 * L4)

# phi runs at the size of the high level, the 3x3 at that of the low one. Beside weights: two biases
# and two norms of the low level's channels, that is 2 + 4 numbers a channel.
PHI = (conv(256, 64), conv(512, 256), conv(1024, 512))
OUT = (conv(64, 64, 3), conv(256, 256, 3), conv(512, 512, 3))
FRM = (
    sum(PHI) + sum(OUT) + 6 * (64 + 256 + 512),
    PHI[0] * L2 + PHI[1] * L3 + PHI[2] * L4 + OUT[0] * L1 + OUT[1] * L2 + OUT[2] * L3,
)
RESIZE = (conv(256, 512) + conv(1024, 512) + 2 * 512, conv(256, 512) * L3 + conv(1024, 512) * L4)
DILATED, FC = 3 * conv(512, 512, 3), 2 * 1536 * 96
FUSION = (3 * (DILATED + 3 * 512 + FC + 96 + 1536), 3 * (DILATED * L3 + FC))
INCEPTION_WEIGHTS = (
    conv(512, 384)
    + conv(512, 192) + conv(192, 224, 1, 7) + conv(224, 256, 7, 1)
    + conv(512, 192) + conv(192, 192, 7, 1) + conv(192, 224, 1, 7) + conv(224, 224, 7, 1)
    + conv(224, 256, 1, 7)
    + conv(512, 128)
)  # fmt: skip
INCEPTION_NORMS = 2 * (384 + 192 + 224 + 256 + 192 + 192 + 224 + 224 + 256 + 128)
INCEPTION = (INCEPTION_WEIGHTS + INCEPTION_NORMS, INCEPTION_WEIGHTS * L3)
MASK_WEIGHTS = conv(1024, 256, 3) + conv(256, 1, 3)
MASK = (MASK_WEIGHTS + 256 + 1, MASK_WEIGHTS * L3)
# A key of one channel at every cell; the transform at one cell, with biases and a LayerNorm.
CONTEXT = (1024 + 2 * 1024 * 64 + 64 + 1024 + 2 * 64, 1024 * L3 + 2 * 1024 * 64)
RPN_WEIGHTS = conv(1024, 512, 3) + conv(512, 12) + conv(512, 48)
RPN = (RPN_WEIGHTS + 512 + 12 + 48, RPN_WEIGHTS * L3)
# Stride 2 sits in the first 1x1, so all of res5 runs on 7x7; two classes and four numbers a box.
PREDICTOR = 2048 * (2 + 4)
HEADS = (RES5 + PREDICTOR + 2 + 4, 300 * (RES5 * 49 + PREDICTOR))

BY_HAND = {
    "lead ResNet": RESNET,
    "assistant ResNet": (RESNET[0] - STEM, RESNET[1] - STEM * STEM_CONV),  # the stem is shared
    "connections (FRM or plain)": FRM,
    "DCE: resizing": RESIZE,
    "DCE: dynamic fusion": FUSION,
    "MAMA: inception": INCEPTION,
    "MAMA: mask attention": MASK,
    "MAMA: context attention": CONTEXT,
    "RPN": RPN,
    "ROI heads": HEADS,
}


# R-FCN: a 1x1 to 1024 channels, then 49 maps for each of two classes and four offsets, a cell each.
MAPS = conv(1024, 49 * (2 + 4))
REDUCE = conv(2048, 1024)
RFCN_HEADS = (
    RES5 + REDUCE + 1024 + MAPS + 49 * (2 + 4),
    (RES5 + REDUCE + MAPS) * L4,  # res5 does not stride
)


ON_RES4 = {"ResNet": RESNET, "RPN": (RPN[0], RPN_WEIGHTS * L4)}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("acnet_r101", BY_HAND),
        ("table1/rfcn_r101", {**ON_RES4, "ROI heads": RFCN_HEADS}),
        ("table1/faster_rcnn_r101_c4", {**ON_RES4, "ROI heads": HEADS}),
    ],
)
def test_the_papers_detectors_equal_the_counts_by_hand(name, parts):
    assert count_parts(load_config(f"acne04/{name}"), (640, 640))[1] == parts


def test_rfcn_s_work_does_not_grow_with_the_boxes():
    few, many = (load_config("acne04/table1/rfcn_r101") for _ in range(2))
    many.model.proposal_generator.post_nms_topk = (2000, 1000)
    assert count_parts(many, (64, 64)) == count_parts(few, (64, 64))


@pytest.mark.parametrize(
    "name",
    [
        *("acne04/table2/baseline", "acne04/table2/frm_dce_mama", "acne04/table2/cb"),
        *("acne04/faster_rcnn_r101_fpn", "toy/acnet_r18", "toy/table1/rfcn_r18"),
        "demo/acnet_r18",
        *[row.config for row in known_rows("toy") if row.table == 4],
    ],
)
def test_parts_add_up_to_the_whole_model(name):
    cfg = load_config(name)
    with torch.device("meta"):
        model = instantiate(cfg.model)
    padded_hw, parts = count_parts(cfg, (50, 64))
    assert sum(count for count, _ in parts.values()) == sum(p.numel() for p in model.parameters())
    assert all(macs > 0 for _, macs in parts.values())
    step = model.backbone.size_divisibility or 1
    for padded, side in zip(padded_hw, (50, 64), strict=True):
        assert padded % step == 0 <= padded - side < step


def test_documented_table_is_the_counted_one(repo_root):
    text = (repo_root / "docs" / "lab" / "model_size.md").read_text()
    for name, (parameters, macs) in BY_HAND.items():
        assert f"| {name} | {parameters:,} | {macs / 1e9:.2f} |" in text
    total = tuple(sum(column) for column in zip(*BY_HAND.values(), strict=True))
    assert f"| all | {total[0]:,} | {total[1] / 1e9:.2f} |" in text


# ---- the script as a user runs it


@pytest.fixture
def analyze(run_python):
    """Return a function that analyzes the toy model with some options, and returns what it says."""
    script = ("projects/ACNet/analyze_model.py", "--config-file", "toy/acnet_r18")
    return functools.partial(run_python, *script)


def test_size_is_a_table_that_adds_up(analyze):
    rows = re.findall(r"\|\s+([\w :()]+) \|\s+([\d,]+) \|", analyze())
    parameters = [int(count.replace(",", "")) for _, count in rows]
    assert rows[-1][0] == "all"
    assert sum(parameters[:-1]) == parameters[-1] > 7_000_000


@pytest.mark.parametrize("task", ["train", "predict"])
def test_steps_are_timed(analyze, task):
    size = ("--size", "96", "96", "--repeats", "1", "train.amp.enabled=false")
    pattern = rf"^{task}, 1 of 96x96: median \d+\.\d+ s .* memory \d"
    assert re.search(pattern, analyze("--task", task, *size), re.MULTILINE)


def test_benchmarks_count_a_step_with_the_boxes_of_a_training():
    found, trained = (macs_of_parts("toy/acnet_r18", 64, training=t) for t in (False, True))
    assert found.keys() == trained.keys()
    assert 2 * found["assistant"] < trained["assistant"] <= 3 * found["assistant"]
