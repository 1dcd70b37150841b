"""A detector that is small enough to be exported in seconds, with all kinds of parts."""

from pathlib import Path

import numpy as np
import torch
from detectron2.config import LazyCall as L
from detectron2.config import LazyConfig, instantiate
from omegaconf import DictConfig

from acnet.checkpoint import ACNetCheckpointer
from acnet.config import load_config
from acnet.modeling import make_resnet_stage

IN_FP32 = "train.amp.enabled=false"
TILE = 96
FEW = [
    "model.proposal_generator.pre_nms_topk=[200,100]",
    "model.proposal_generator.post_nms_topk=[50,30]",
    "model.roi_heads.box_predictor.test_topk_per_image=20",
]


def small_config(*overrides: str, classes: int = 1) -> DictConfig:
    """Return the toy config with one ResNet, whose levels are added up."""
    cfg = load_config("toy/acnet_r18", [IN_FP32, *FEW, *overrides])
    cfg.model.roi_heads.num_classes = classes
    cfg.class_names = [f"kind {index}" for index in range(classes)]
    merged = cfg.model.backbone.bottom_up
    merged.bottom_up = merged.bottom_up.lead
    merged.enhance = False
    return cfg


def paper_config() -> DictConfig:
    """Return all parts of the backbone, and the paper's box head: res5, which strides by 1x1."""
    cfg = load_config("toy/acnet_r18", [IN_FP32, *FEW])
    cfg.model.roi_heads = load_config("acne04/acnet_r101").model.roi_heads
    cfg.model.roi_heads.res5 = L(make_resnet_stage)(
        depth=50, stage=5, stem_channels=16, norm="FrozenBN", stride_in_1x1=True
    )
    cfg.model.roi_heads.box_predictor.input_shape.channels = 512
    return cfg


def random_model(cfg: DictConfig) -> torch.nn.Module:
    """Return a model whose random boxes spread, so that they differ from their proposals."""
    torch.manual_seed(0)
    model = instantiate(cfg.model).eval()
    with torch.no_grad():
        for layer in (model.roi_heads.box_predictor.bbox_pred, model.proposal_generator.rpn_head):
            for parameter in layer.parameters():
                parameter.mul_(5)
    return model


def save_run(cfg: DictConfig, folder: Path) -> Path:
    """Write config and weights as a training does, and return the weights' path."""
    LazyConfig.save(cfg, str(folder / "config.yaml"))
    ACNetCheckpointer(random_model(cfg), folder).save("model_final")
    return folder / "model_final.pth"


def picture(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_input(image: np.ndarray) -> dict:
    """Return a picture as detectron2's models take it."""
    chw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return {"image": chw, "height": image.shape[0], "width": image.shape[1]}
