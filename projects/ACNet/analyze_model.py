#!/usr/bin/env python
"""Show how large a model is and what it computes, part by part, or time a step of it.

Sizes are counted on torch's meta device, by torch's own counter, without computing anything (that
of fvcore traces the model, which the meta device refuses); a step runs on random images, with
random weights.
"""

import argparse
import importlib.util
import resource
import sys
import time
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a clone that is not installed

import torch
from detectron2.config import instantiate
from detectron2.modeling.backbone import FPN, Backbone, ResNet
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from omegaconf import DictConfig
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from acnet.config import load_config
from acnet.engine.precision import choose_precision, resolve_device
from acnet.engine.train import build_model
from acnet.modeling import ACNet, CompositeResNet, MaskAwareMultiAttention, RFCNROIHeads

EPILOG = """
Examples:

  Parameters and multiply-accumulates of each part:
    python projects/ACNet/analyze_model.py --config-file acne04/acnet_r101

  Time and memory of a training step of 2 images, and of a prediction, in bfloat16:
    python projects/ACNet/analyze_model.py --config-file acne04/acnet_r101 --task train \\
        --batch-size 2 train.amp.enabled=true train.channels_last=true
    python projects/ACNet/analyze_model.py --config-file acne04/acnet_r101 --task predict \\
        train.amp.enabled=true train.channels_last=true
"""
BOXES_PER_IMAGE = 13  # ACNE04's mean: 18,983 boxes on 1,457 photos


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, help="a path or a name")
    parser.add_argument("--task", choices=("size", "train", "predict"), default="size")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"))
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps, after one more")
    parser.add_argument("opts", nargs="*", metavar="key=value", help="changes to the config")
    return parser


class OneImage(nn.Module):
    """The model's way from an image to its outputs, as far as it has weights.

    Pooling has none, and needs boxes; the boxes that reach the ROI heads are as many as is said,
    by default as many as the RPN keeps at most.
    """

    def __init__(self, model: ACNet | DenseDetector, proposals: int | None = None):
        super().__init__()
        self.model = model
        self.proposals = proposals

    def forward(self, image: Tensor) -> None:
        """Run backbone, RPN and ROI heads, or the only head, on an image (1, 3, H, W)."""
        features = self.model.backbone(image)
        if isinstance(self.model, DenseDetector):
            self.model.head([features[name] for name in self.model.head_in_features])
            return
        rpn, heads = self.model.proposal_generator, self.model.roi_heads
        proposals = rpn.post_nms_topk[False] if self.proposals is None else self.proposals
        rpn.rpn_head([features[name] for name in rpn.in_features])
        if isinstance(heads, RFCNROIHeads):
            hidden, predictor = heads.compute_hidden(features), heads.box_predictor
            predictor.cls_score(hidden)  # once an image, however many boxes vote
            predictor.bbox_pred(hidden)
            if hasattr(predictor, "whole"):  # CoupleNet's second branch, box by box
                size = (predictor.whole.in_channels, *[predictor.num_bins] * 2)
                predictor.global_map(hidden)
                predictor.global_score(predictor.whole(hidden.new_empty(proposals, *size)))
            return
        feature = features[heads.in_features[0]]
        uses_res5 = hasattr(heads, "res5")
        size = (heads.pooler if uses_res5 else heads.box_pooler).output_size
        pooled = feature.new_empty(proposals, feature.shape[1], *size)
        pooled.requires_grad_(feature.requires_grad)
        box_features = heads.res5(pooled).mean(dim=(2, 3)) if uses_res5 else heads.box_head(pooled)
        heads.box_predictor(box_features)


def count_parts(
    cfg: DictConfig, image_hw: tuple[int, int]
) -> tuple[tuple[int, int], dict[str, tuple[int, int]]]:
    """Count parameters and multiply-accumulates of each part of a detector for one image.

    Normalisations, activations, resizing, the product of features and weights in the context
    attention block, and Soft-NMS are not counted: together they are below 1 %.

    Args:
        cfg: of the model.
        image_hw: height and width of the image.

    Returns:
        The size to which the image is padded; and the parts of the paper's Fig. 1 in the order of
        the data, those that the model has. What two parts share counts for the first.
    """
    with torch.device("meta"):
        model = instantiate(cfg.model).eval()
    step = model.backbone.size_divisibility or 1
    image_hw = tuple(-(-side // step) * step for side in image_hw)
    one_image = OneImage(model)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        one_image(torch.empty(1, 3, *image_hw, device=model.device))
    macs = _own_macs(counter.get_flop_counts())
    names = {module: f"OneImage.{name}" for name, module in one_image.named_modules()}
    counted: set[nn.Module | nn.Parameter] = set()
    parts = {}
    for name, module in _named_parts(model).items():
        parameters = set(module.parameters()) - counted
        layers = set(module.modules()) - counted
        counted |= parameters | layers
        parts[name] = (
            sum(parameter.numel() for parameter in parameters),
            sum(macs.get(names[layer], 0) for layer in layers),
        )
    return image_hw, parts


def _own_macs(flops: dict[str, dict]) -> dict[str, int]:
    """Multiply-accumulates of convolutions and linear layers, without those of modules within."""
    aten = torch.ops.aten
    totals = {
        name: sum(counts.get(operator, 0) for operator in (aten.convolution, aten.addmm)) // 2
        for name, counts in flops.items()
        if name != "Global"
    }
    own = dict(totals)
    for name, total in totals.items():
        parent = name.rpartition(".")[0]
        while parent and parent not in totals:  # a list of modules is not called itself
            parent = parent.rpartition(".")[0]
        if parent:
            own[parent] -= total
    return own


def _named_parts(model: ACNet | DenseDetector) -> dict[str, nn.Module]:
    """The boxes of Fig. 1, or of a detector that it is compared with, in the order of the data."""
    if isinstance(model, DenseDetector):
        return {"backbone": model.backbone, "head": model.head}
    heads = {"RPN": model.proposal_generator.rpn_head, "ROI heads": model.roi_heads}
    return _backbone_parts(model.backbone) | heads


def _backbone_parts(backbone: Backbone) -> dict[str, nn.Module]:
    if isinstance(backbone, ResNet):
        return {"ResNet": backbone}
    if isinstance(backbone, FPN):
        return {"ResNet": backbone.bottom_up, "FPN": backbone}
    merged = backbone.bottom_up
    levels = merged.bottom_up
    parts: dict[str, nn.Module] = {}
    if isinstance(levels, CompositeResNet):
        parts["lead ResNet"] = levels.lead
        parts["assistant ResNet"] = levels.assistant
    else:
        parts["ResNet"] = getattr(levels, "bottom_up", levels)
    if hasattr(levels, "connections"):
        parts["connections (FRM or plain)"] = levels.connections
    parts["DCE: resizing"] = merged.resize
    if len(merged.enhance):
        parts["DCE: dynamic fusion"] = merged.enhance
    if isinstance(backbone, MaskAwareMultiAttention):
        parts["MAMA: inception"] = backbone.inception
        parts["MAMA: mask attention"] = backbone.mask_attention
        parts["MAMA: context attention"] = backbone.context_attention
        if backbone.project is not None:
            parts["MAMA: shortcut"] = backbone  # what of it is left: the projection and its gain
    else:
        parts["projection"] = backbone.project
    return parts


def size_table(cfg: DictConfig, image_hw: tuple[int, int]) -> str:
    """Table of parameters and multiply-accumulates, part by part."""
    image_hw, parts = count_parts(cfg, image_hw)
    parts["all"] = tuple(map(sum, zip(*parts.values(), strict=True)))
    rows = [(name, f"{count:,}", f"{macs / 1e9:.2f}") for name, (count, macs) in parts.items()]
    title = f"one image of {image_hw[0]}x{image_hw[1]}"
    if "proposal_generator" in cfg.model:
        title += f", {cfg.model.proposal_generator.post_nms_topk[1]} proposals"
    headers = ("part", "parameters", "GMACs")
    return f"{title}\n\n" + tabulate(
        rows, headers, "github", stralign="right", disable_numparse=True
    )


def random_batch(batch_size: int, image_hw: tuple[int, int]) -> list[dict]:
    """Images of noise with boxes of 8 to 72 pixels."""
    height, width = image_hw
    batch = []
    for _ in range(batch_size):
        start = torch.rand(BOXES_PER_IMAGE, 2) * (torch.tensor([width, height]) - 80)
        boxes = torch.cat([start, start + 8 + 64 * torch.rand(BOXES_PER_IMAGE, 2)], dim=1)
        instances = Instances(image_hw, gt_boxes=Boxes(boxes))
        instances.gt_classes = torch.zeros(BOXES_PER_IMAGE, dtype=torch.long)
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        batch.append({"image": image, "instances": instances, "height": height, "width": width})
    return batch


def time_steps(cfg: DictConfig, args: argparse.Namespace) -> list[float]:
    """Seconds of each step, the first of which is not counted."""
    device = resolve_device(cfg.train.device)
    precision = choose_precision(cfg.train.amp, device)
    model = build_model(cfg).train(args.task == "train")
    batch = random_batch(args.batch_size, tuple(args.size))
    seconds = []
    with EventStorage(), torch.set_grad_enabled(args.task == "train"):
        for _ in range(args.repeats + 1):
            start = time.perf_counter()
            with precision.autocast():
                output = model(batch)
            if args.task == "train":
                sum(output.values()).backward()
                model.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - start)
    return seconds[1:]


def peak_gib(cfg: DictConfig) -> float:
    """Most memory that this process has held: on the GPU where the model is there."""
    device = resolve_device(cfg.train.device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Do what the command line says."""
    args = build_parser().parse_args()
    cfg = load_config(args.config_file, args.opts)
    if args.task == "size":
        report = size_table(cfg, tuple(args.size))
    else:
        torch.manual_seed(0)
        seconds = sorted(time_steps(cfg, args))
        report = (
            f"{args.task}, {args.batch_size} of {args.size[0]}x{args.size[1]}: median "
            f"{seconds[len(seconds) // 2]:.2f} s of {len(seconds)} steps "
            f"({seconds[0]:.2f} to {seconds[-1]:.2f}), peak memory {peak_gib(cfg):.2f} GiB"
        )
    sys.stdout.write(report + "\n")


if __name__ == "__main__":
    main()
