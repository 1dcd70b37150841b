"""From weights and config to a file that other engines run."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig

from acnet.checkpoint.bundle import Bundle
from acnet.checkpoint.pack import make_card, prediction_config
from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel
from acnet.export.contents import ExportContents, ExportSettings, texts_beside
from acnet.export.detector import FixedSizeDetector
from acnet.export.nms import onnx_nms, torch_nms
from acnet.export.onnx_file import write_onnx
from acnet.export.program import to_program
from acnet.export.pt2_file import write_pt2
from acnet.export.suffixes import ONNX, PT2
from acnet.files import file_sha256
from acnet.inference.fingerprint import versions
from acnet.inference.trained_model import TrainedModel, load_trained_model

_WRITERS = {ONNX: (onnx_nms, write_onnx), PT2: (torch_nms, write_pt2)}
_PACKAGES = ("numpy", "onnx", "onnxscript", "torch", "torchvision")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is asked for.

    Args:
        tile_px: side of the square tiles.
        batch: tiles that go through at once; 0 for any number.
        soft_nms: "inside" the file, or "outside": done by whoever runs it.
        precision: "float32", "bfloat16", "config" or "auto"; ONNX files take float32.

    Raises:
        UserError: a value is out of range.
    """

    tile_px: int = 640
    batch: int = 0
    soft_nms: str = "outside"
    precision: str = "float32"


def export_model(
    cfg: DictConfig,
    weights: str | os.PathLike,
    output: Path,
    options: ExportOptions,
    *,
    name: str,
    count_model: CountModel | None = None,
) -> ExportContents:
    """Write a trained model as an ONNX file or a program of torch.export.

    Args:
        cfg: of the training, or of a bundle.
        weights: checkpoint or bundle.
        output: the file; .onnx or .pt2 says which.
        options: what is asked for.
        name: of weights and config, for people.
        count_model: fitted to this model; None for that of the bundle.

    Returns:
        What the file says about itself.

    Raises:
        UserError: the weights do not fit, or the model or a combination cannot be exported.
    """
    trained = load_trained_model(cfg, weights, "cpu", options.precision)
    dtype = trained.precision.dtype or torch.float32
    _check_precision(output, dtype)
    nms, write = _WRITERS[output.suffix]
    # A .pt2 archive stores contiguous weights. For activations, channels_last pays in bfloat16.
    model = trained.model.to(memory_format=torch.contiguous_format)
    model.channels_last = dtype != torch.float32
    detector = FixedSizeDetector(
        model,
        tile_px=options.tile_px,
        nms=nms,
        soft_nms_inside=options.soft_nms == "inside",
    )
    program = to_program(
        detector, tile_px=options.tile_px, batch=options.batch, precision=trained.precision
    )
    contents = ExportContents(
        bundle=_bundle(cfg, Path(weights), trained, count_model),
        settings=ExportSettings(
            name=name,
            tile_px=options.tile_px,
            batch=options.batch,
            soft_nms=options.soft_nms,
            decay=detector.decay,
            precision=str(dtype).removeprefix("torch."),
            weights_sha256=file_sha256(weights),
            versions=dict(versions(_PACKAGES)),
        ),
    )
    write(output, program, contents.to_texts())
    return contents


def _bundle(
    cfg: DictConfig, weights: Path, trained: TrainedModel, count_model: CountModel | None
) -> Bundle:
    beside = texts_beside(weights)
    if beside is not None and count_model is None:
        return beside
    return Bundle(
        config=prediction_config(cfg),
        class_names=tuple(trained.class_names),
        count_model=count_model,
        card=make_card(trained.model, trained.class_names, count_model, half=False),
    )


def _check_precision(output: Path, dtype: torch.dtype) -> None:
    if output.suffix == ONNX and dtype != torch.float32:
        raise UserError(
            "ONNX files hold float32, since ONNX Runtime computes convolutions on CPUs in nothing "
            f"less; OpenVINO lowers the precision itself. Received --precision of {dtype}; use "
            "float32 here and `acnet predict --engine openvino --precision bfloat16` later."
        )
