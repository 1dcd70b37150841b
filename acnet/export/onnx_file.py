"""From a trained model to an ONNX file that other engines run; see docs/export.md."""

import contextlib
import dataclasses
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from detectron2.config import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.export import Dim, ExportedProgram

from acnet.checkpoint import load_trained_weights
from acnet.checkpoint.bundle import Bundle, is_bundle, make_bundle, read_bundle
from acnet.data.register import classes_of
from acnet.errors import UserError
from acnet.evaluation.count_model import CountModel
from acnet.export.detector import FixedSizeDetector
from acnet.export.metadata import (
    FORMAT,
    INPUT_NAMES,
    MOST_BATCH,
    MOST_TILE_PX,
    OUTPUT_NAMES,
    ExportSettings,
    check_size,
)
from acnet.files import atomic_write, file_sha256
from acnet.photos.results import versions
from acnet.safe_config import parse_saved_config

if TYPE_CHECKING:
    from onnx_ir import Graph

OPSET = 18  # below 16, RoIAlign is half a pixel off
_LEAST_HALVED = 256  # numbers of a tensor that is stored in 16 bits where it can be
_PACKAGES = ("numpy", "onnx", "onnxscript", "torch", "torchvision")


def export_model(
    cfg: DictConfig,
    weights: str | os.PathLike,
    output: Path,
    *,
    tile_px: int = 640,
    batch: int = 0,
    name: str,
    count_model: CountModel | None = None,
) -> None:
    """Write a trained model as an ONNX file in float32, with Soft-NMS inside.

    Args:
        tile_px: side of the square tiles that it takes.
        batch: tiles that go through at once; 0 for any number.
        name: of weights and config, for people.
        count_model: fitted to this model; None for that of the bundle.

    Raises:
        UserError: the weights do not fit, or the model or a size cannot be exported.

    Example:
        export_model(load_config("toy/acnet_r18"), "model.pth", Path("model.onnx"), name="demo")
    """
    fault = check_size(tile_px, batch)
    if fault:
        raise UserError(
            f"An exported file takes square tiles, some at once. Received {fault}; choose smaller "
            "values for --tile or --batch."
        )
    model = instantiate(cfg.model).eval()
    _check_resized(cfg, tile_px, model.backbone.size_divisibility)
    load_trained_weights(model, weights)
    program = to_program(
        FixedSizeDetector(model, tile_px=tile_px).eval(), tile_px=tile_px, batch=batch
    )
    if count_model is None and is_bundle(weights):
        bundle = read_bundle(weights)
    else:
        _, bundle = make_bundle(cfg, model, classes_of(cfg), count_model=count_model)
    settings = ExportSettings(
        name=name,
        tile_px=tile_px,
        batch=batch,
        weights_sha256=file_sha256(weights),
        versions=dict(versions(_PACKAGES)),
    )
    write_onnx(output, program, metadata_texts(dataclasses.replace(bundle, settings=settings)))


def _check_resized(cfg: DictConfig, tile_px: int, divisor: int) -> None:
    """Refuse tiles that are smaller than what the test set's pictures are resized to."""
    augmentations = instantiate(cfg.dataloader.test.mapper.augmentations)
    longest = max((getattr(one, "max_size", 0) for one in augmentations), default=0)
    if tile_px < longest <= MOST_TILE_PX:  # others have no limit, and are refused one by one
        fitting = -(-longest // max(divisor, 1)) * max(divisor, 1)
        raise UserError(
            "A model whose config resizes pictures sees them whole, in one tile. Received --tile "
            f"{tile_px} with pictures of up to {longest} pixels; use --tile {fitting}."
        )


def to_program(detector: nn.Module, *, tile_px: int, batch: int) -> ExportedProgram:
    """Make a program of `torch.export` of a `FixedSizeDetector` in evaluation mode.

    Its inputs are tiles (B, 3, T, T) uint8, and in float32 their sizes (B, 2) and parts (B, 4).
    """
    example = batch or 2  # 1 would be taken for a constant
    inputs = (
        torch.zeros(example, 3, tile_px, tile_px, dtype=torch.uint8),
        torch.full((example, 2), float(tile_px)),
        torch.tensor([0.0, 0.0, tile_px, tile_px]).repeat(example, 1),
    )
    open_batch = {0: Dim("batch", min=1, max=MOST_BATCH)}
    shapes = None if batch else tuple(open_batch for _ in INPUT_NAMES)
    with torch.no_grad(), warnings.catch_warnings():
        # Torch deprecates what torchvision calls.
        warnings.filterwarnings("ignore", category=FutureWarning)
        return torch.export.export(detector, inputs, dynamic_shapes=shapes)


def metadata_texts(bundle: Bundle) -> dict[str, str]:
    """Return the texts to store in a file, by name; see `acnet.export.metadata`."""
    cfg, tile_px = parse_saved_config(bundle.config, source="the config"), bundle.settings.tile_px
    for_programs = {
        "images": f"(B, 3, {tile_px}, {tile_px}) uint8, {cfg.model.input_format}; smaller pictures "
        "at the top left; the file normalises them itself",
        "sizes_hw": "(B, 2) float32, height and width of the picture in each tile",
        "parts_xyxy": "(B, 4) float32, where centres of detections are wanted; 0 0 width height "
        "for all",
        "input_format": cfg.model.input_format,
        "photos": dict(cfg.get("photos", {})),  # long side to bring whole photos to, if any
        "pixel_mean": list(cfg.model.pixel_mean),
        "pixel_std": list(cfg.model.pixel_std),
        "outputs": "boxes (B, N, 4) XYXY pixels, scores (B, N), classes (B, N); a score of -1 "
        "marks a place without a detection",
    }
    return {
        **bundle.texts(FORMAT),
        "export": json.dumps(dataclasses.asdict(bundle.settings), sort_keys=True),
        "input": json.dumps(for_programs),
    }


def write_onnx(path: Path, program: ExportedProgram, texts: Mapping[str, str]) -> None:
    """Write an ONNX file, whole or not at all, without a name of this machine's folders."""
    with _quiet():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUT_NAMES),
            output_names=list(OUTPUT_NAMES),
            optimize=False,
            verbose=False,
        )
        # Before the optimizer, which folds norms into weights: these then need all 32 bits.
        _store_half(converted.model.graph)
        converted.optimize()
    model = converted.model
    _open_shapes(model.graph)
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        for node in graph.all_nodes():  # which tell of the lines of code that made them
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props.update(texts)
    with atomic_write(path) as temporary:
        converted.save(temporary)


def _open_shapes(graph: "Graph") -> None:
    """Claim no number of picks of NMS: where there are fewer, ONNX Runtime would refuse to run."""
    picks = set()
    for node in graph:
        if node.op_type == "NonMaxSuppression" or (
            node.op_type != "ScatterND" and not picks.isdisjoint(node.inputs)
        ):
            picks.update(node.outputs)
            for value in node.outputs:
                value.shape = None


def _store_half(graph: "Graph") -> None:
    """Store numbers in 16 bits, with a cast to 32 behind them, where that changes none of them.

    So an export of a bundle that was packed with `--half` is as small as the bundle, and equal.
    """
    import onnx_ir

    first = graph[0]
    for value in list(graph.initializers.values()):
        numbers = value.const_value.numpy()
        if numbers.dtype != np.float32 or numbers.size < _LEAST_HALVED:
            continue
        with np.errstate(over="ignore"):
            half = numbers.astype(np.float16)
        if not np.array_equal(half, numbers):
            continue
        stored = onnx_ir.val(f"{value.name}.half", const_value=onnx_ir.tensor(half))
        to_32_bits = onnx_ir.node("Cast", [stored], {"to": onnx_ir.DataType.FLOAT.value})
        value.replace_all_uses_with(to_32_bits.outputs[0])
        del graph.initializers[value.name]
        graph.register_initializer(stored)
        graph.insert_before(first, to_32_bits)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter tells its own developers."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
