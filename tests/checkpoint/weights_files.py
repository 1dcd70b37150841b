"""Small weights files in the formats of the public ImageNet files, and models to load them into."""

import pickle
import re
from pathlib import Path

import torch
from detectron2.modeling.backbone import ResNet
from detectron2.modeling.backbone.resnet import BasicStem, BottleneckBlock
from torch import Tensor, nn

from acnet.checkpoint import ACNetCheckpointer, LoadReport

MSRA_INPUT = {
    "input_format": "BGR",
    "pixel_mean": (103.53, 116.28, 123.675),
    "pixel_std": (1.0,) * 3,
}
TORCHVISION_INPUT = {
    "input_format": "RGB",
    "pixel_mean": (123.675, 116.28, 103.53),
    "pixel_std": (58.395, 57.12, 57.375),
}
_TRUNK = "abc"  # Caffe2's branch2a, 2b, 2c are conv1, conv2, conv3


def make_stages(
    block: type[nn.Module] = BottleneckBlock,
    *,
    width: int = 4,
    blocks: tuple[int, ...] = (1, 2, 1, 1),
    norm: str = "FrozenBN",
    stride_in_1x1: bool = True,
) -> list[list[nn.Module]]:
    """The stages res2 to res5 of a narrow ResNet; bottlenecks widen fourfold."""
    stages, in_channels = [], width
    for index, count in enumerate(blocks):
        inner = width * 2**index
        kwargs = {"norm": norm, "in_channels": in_channels, "out_channels": inner}
        if block is BottleneckBlock:
            kwargs |= {"bottleneck_channels": inner, "stride_in_1x1": stride_in_1x1}
            kwargs["out_channels"] = 4 * inner
        strides = [1 if index == 0 else 2] + [1] * (count - 1)
        stages.append(ResNet.make_stage(block, count, stride_per_block=strides, **kwargs))
        in_channels = kwargs["out_channels"]
    return stages


def make_resnet(
    block: type[nn.Module] = BottleneckBlock, *, last: str = "res4", **kwargs
) -> ResNet:
    """A narrow detectron2 ResNet up to the stage `last`."""
    stem = BasicStem(3, kwargs.get("width", 4), norm=kwargs.get("norm", "FrozenBN"))
    return ResNet(stem, make_stages(block, **kwargs), out_features=[last])


def random_weights(block: type[nn.Module] = BottleneckBlock, **kwargs) -> dict[str, Tensor]:
    """A whole ResNet by canonical names, every value random, variances positive."""
    state = make_resnet(block, last="res5", **kwargs).state_dict()
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(value.shape, generator=generator) + 0.5
        if name.endswith("running_var")
        else torch.randn(value.shape, generator=generator)
        for name, value in state.items()
    }


class FeatureRefinement(nn.Conv2d):
    """Named like the paper's module, for the report's sake."""


class Detector(nn.Module):
    """A detector's key layout and input settings around narrow ResNets; it computes nothing."""

    def __init__(
        self,
        block: type[nn.Module] = BottleneckBlock,
        *,
        input_settings: dict = MSRA_INPUT,
        share_stem: bool = True,
        num_classes: int = 1,
        **kwargs,
    ):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.bottom_up = nn.Module()
        self.backbone.bottom_up.lead = make_resnet(block, **kwargs)
        self.backbone.bottom_up.assistant = make_resnet(block, **kwargs)
        if share_stem:
            self.assistant.stem = self.lead.stem
        self.backbone.frm = FeatureRefinement(2, 2, 3)
        self.roi_heads = nn.Module()
        self.roi_heads.res5 = nn.Sequential(*make_stages(block, **kwargs)[3])
        self.roi_heads.box_predictor = nn.Module()
        self.roi_heads.box_predictor.cls_score = nn.Linear(8, num_classes + 1)
        self.roi_heads.box_predictor.bbox_pred = nn.Linear(8, 4 * num_classes)
        self.input_format = input_settings["input_format"]
        for name in ("pixel_mean", "pixel_std"):
            value = torch.tensor(input_settings[name]).view(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @property
    def lead(self) -> ResNet:
        return self.backbone.bottom_up.lead

    @property
    def assistant(self) -> ResNet:
        return self.backbone.bottom_up.assistant


def to_caffe2(name: str, *, affine: bool) -> str:
    """`res2.0.conv1.norm.weight` to `res2_0_branch2a_bn_s` (affine) or `..._bn_gamma`."""
    parts = name.split(".")
    if parts[0] == "stem":
        layer = "res_conv1_bn" if "norm" in parts else "conv1"
    else:
        stage, block, conv = parts[:3]
        branch = "1" if conv == "shortcut" else f"2{_TRUNK[int(conv[-1]) - 1]}"
        layer = f"{stage}_{block}_branch{branch}" + ("_bn" if "norm" in parts else "")
    norm_names = ("s", "b") if affine else ("gamma", "beta")
    suffix = {"weight": norm_names[0] if "norm" in parts else "w", "bias": norm_names[1]}
    return f"{layer}_{suffix.get(parts[-1], parts[-1])}"


def to_torchvision(name: str) -> str:
    """`res2.0.conv1.norm.weight` to `layer1.0.bn1.weight`."""
    name = name.removeprefix("stem.").replace("shortcut.norm", "downsample.1")
    name = re.sub(r"conv(\d)\.norm", r"bn\1", name).replace("shortcut", "downsample.0")
    return re.sub(r"^res(\d)", lambda match: f"layer{int(match[1]) - 1}", name)


def write_msra_pickle(path: Path, weights: dict[str, Tensor], *, affine: bool) -> Path:
    """The format of R-101.pkl: Detectron's (affine norms) or detectron2's (running statistics)."""
    content = {
        to_caffe2(name, affine=affine): value.numpy()
        for name, value in weights.items()
        if not (affine and "running" in name)
    }
    content |= {"fc1000_w": torch.randn(10, 4).numpy(), "fc1000_b": torch.randn(10).numpy()}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def torchvision_state(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's names, with its counters and its classifier."""
    state = {to_torchvision(name): value for name, value in weights.items()}
    counters = [name.replace("running_mean", "num_batches_tracked") for name in state]
    state |= {name: torch.tensor(7) for name in counters if name.endswith("tracked")}
    return state | {"fc.weight": torch.randn(10, 4), "fc.bias": torch.randn(10)}


def assert_filled(stage: nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    """Every value of a stem or stage equals the file's."""
    for name, value in stage.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, weights[f"{prefix}.{name}"], rtol=0, atol=0)


def assert_all_filled(model: Detector, weights: dict[str, Tensor]) -> None:
    """Lead, assistant and box head equal the file."""
    for resnet in (model.lead, model.assistant):
        for stage in ("stem", "res2", "res3", "res4"):
            assert_filled(getattr(resnet, stage), weights, stage)
    assert_filled(model.roi_heads.res5, weights, "res5")


def load(model: nn.Module, path: Path) -> LoadReport:
    """What becomes of a file that a model is started from."""
    checkpointer = ACNetCheckpointer(model)
    checkpointer.load(str(path))
    return checkpointer.report


def save_iterations(folder: Path, *iterations: int, size: int = 4) -> None:
    """Checkpoints whose weights all equal the iteration."""
    model = nn.Linear(size, size)
    checkpointer = ACNetCheckpointer(model, folder)
    for iteration in iterations:
        for parameter in model.parameters():
            nn.init.constant_(parameter, iteration)
        checkpointer.save(f"model_{iteration:07d}", iteration=iteration)


def resumed_iteration(folder: Path, *, size: int = 4) -> int:
    """Resumes a fresh model; its weights must be those of the iteration that it is told."""
    model = nn.Linear(size, size)
    rest = ACNetCheckpointer(model, folder).resume_or_load("", resume=True)
    assert (model.weight == rest["iteration"]).all()
    return rest["iteration"]
