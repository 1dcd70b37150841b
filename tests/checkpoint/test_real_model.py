"""The paper's model, narrow, from the config that users start from."""

import shlex

import pytest
import torch
from detectron2.config import instantiate
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicStem

from acnet.config import load_config
from acnet.errors import WeightsMismatchError
from acnet.modeling import make_resnet_stages
from tests.checkpoint.weights_files import (
    assert_filled,
    load,
    torchvision_state,
    write_msra_pickle,
)

LEVELS = "model.backbone.bottom_up.bottom_up"  # what gives L1 to L4


def narrow(*resnets: str) -> list[str]:
    """Overrides that make ResNet-50s of 8 channels of these, and the rest as narrow."""
    fields = ("stem.out_channels=8", "stages.depth=50", "stages.stem_channels=8")
    return [
        *(f"{resnet}.{field}" for resnet in resnets for field in fields),
        "model.proposal_generator.head.in_channels=128",
        "model.proposal_generator.head.conv_dims=[16]",
        "model.roi_heads.res5.depth=50",
        "model.roi_heads.res5.stem_channels=8",
        "model.roi_heads.box_predictor.input_shape.channels=256",
    ]


MERGED = ["model.backbone.bottom_up.out_channels=32"]
COMPOSITE = [*narrow(f"{LEVELS}.lead", f"{LEVELS}.assistant"), *MERGED]
ATTENTION = ["model.backbone.width=0.125", "model.backbone.mask_channels=8"]
PROJECTION = ["model.backbone.out_channels=128"]


def build(*overrides: str, config: str = "acne04/acnet_r101"):
    return instantiate(load_config(config, overrides or [*COMPOSITE, *ATTENTION]).model)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """A ResNet-50 of 8 channels by canonical names, with statistics that do something."""
    stages = make_resnet_stages(50, stem_channels=8, num_stages=4, norm="FrozenBN")
    resnet = ResNet(BasicStem(3, 8, norm="FrozenBN"), stages, out_features=["res5"])
    return {name: torch.rand(value.shape) + 0.1 for name, value in resnet.state_dict().items()}


def assert_filled_from(model, weights, stages=("stem", "res2", "res3", "res4")) -> int:
    """Compare every ResNet with the file, and return how many there are."""
    resnets = [module for module in model.modules() if isinstance(module, ResNet)]
    for resnet in resnets:
        for stage in stages:
            assert_filled(getattr(resnet, stage), weights, stage)
    if "res5" not in stages:
        assert_filled(model.roi_heads.res5, weights, "res5")
    return len(resnets)


def test_one_file_fills_lead_assistant_and_head(tmp_path, weights):
    model = build()
    report = load(model, write_msra_pickle(tmp_path / "R-50.pkl", weights, affine=False))
    assert assert_filled_from(model, weights) == 2
    # ResNet-50 has 3, 4, 6, 3 blocks; each conv has 1 weight and 4 norm values, so 5 tensors. res2:
    # 3 blocks of 3 convs and a shortcut = 10 convs = 50; res3: 13 convs; res4: 19; res5: 10.
    assert [part.tensors for part in report.loaded] == [5, 50, 65, 95, 50, 65, 95, 50]
    assert [part.group for part in report.random] == ["DCE", "FRM", "MAMA", "ROI heads", "RPN"]
    assert report.unused == ("fc1000_b", "fc1000_w")


def test_the_overrides_that_the_error_names_mend_it(tmp_path, weights):
    torch.save(torchvision_state(weights), tmp_path / "r50.pth")
    with pytest.raises(WeightsMismatchError) as error:
        load(build(), tmp_path / "r50.pth")
    overrides = shlex.split(str(error.value).rpartition("override ")[2])
    model = build(*COMPOSITE, *ATTENTION, *overrides)
    load(model, tmp_path / "r50.pth")
    assert assert_filled_from(model, weights) == 2


TORCHVISION_INPUT = [
    "model.input_format=RGB",
    "model.pixel_mean=[123.675,116.28,103.53]",
    "model.pixel_std=[58.395,57.12,57.375]",
    "model.backbone.stages.stride_in_1x1=false",
    "model.roi_heads.res5.stride_in_1x1=false",
]
ONE = narrow("model.backbone")
ROWS = [
    ("table2/baseline", [*narrow(LEVELS), *MERGED, *PROJECTION], {"DCE", "channel projection"}),
    ("table2/frm_dce_mama", [*narrow(f"{LEVELS}.bottom_up"), *MERGED, *ATTENTION],
     {"DCE", "FRM", "MAMA"}),
    ("table2/cb", [*COMPOSITE, *PROJECTION],
     {"DCE", "channel projection", "composite connections"}),
    ("table1/faster_rcnn_r101_c4", ONE, set()),
    ("table1/faster_rcnn_r101_c4", [*ONE, *TORCHVISION_INPUT], set()),
    # R-FCN's res5 is dilated, which changes no shape: the same file fills it.
    ("table1/rfcn_r101", ONE, set()),
    ("table1/rfcn_r101", [*ONE, *TORCHVISION_INPUT], set()),
    ("faster_rcnn_r101_fpn", [f"model.backbone.bottom_up.{field}" for field in
     ("stem.out_channels=8", "stages.depth=50", "stages.stem_channels=8")], {"FPN"}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "overrides", "random"), ROWS)
def test_other_rows(tmp_path, weights, row, overrides, random):
    path = tmp_path / "r50.pth"
    if TORCHVISION_INPUT[0] in overrides:
        torch.save(torchvision_state(weights), path)
    else:
        path = write_msra_pickle(path.with_suffix(".pkl"), weights, affine=False)
    model = build(*overrides, config=f"acne04/{row}")
    report = load(model, path)
    stages = ("stem", "res2", "res3", "res4", *(("res5",) if random == {"FPN"} else ()))
    assert assert_filled_from(model, weights, stages) == (2 if row == "table2/cb" else 1)
    assert {part.group for part in report.random} == random | {"ROI heads", "RPN"}
    assert not any("res5" in name for part in report.random for name in part.names)
