"""A detector as a program of `torch.export`, with tensors in and out only."""

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from acnet.engine.precision import Precision

__all__ = ["INPUT_NAMES", "OUTPUT_NAMES", "example_inputs", "forget_sources", "to_program"]

INPUT_NAMES = ("images", "sizes_hw", "parts_xyxy")
OUTPUT_NAMES = ("boxes", "scores", "classes")
MOST_TILES = 1024  # of a batch whose size is left open


def to_program(
    detector: nn.Module, *, tile_px: int, batch: int, precision: Precision
) -> ExportedProgram:
    """Export a detector.

    Args:
        detector: a `FixedSizeDetector`.
        tile_px: side of its tiles.
        batch: tiles of a batch; 0 for any number.
        precision: what it computes with.

    Returns:
        The program, without the names of the folders that its code is in.
    """
    device = next(detector.parameters()).device
    example = example_inputs(batch or 2, tile_px, device)  # 1 would be taken for a constant
    open_batch = {0: Dim("batch", min=1, max=MOST_TILES)}
    shapes = None if batch else tuple(open_batch for _ in INPUT_NAMES)
    module = detector if precision.dtype is None else _InPrecision(detector, precision)
    with torch.no_grad(), warnings.catch_warnings():
        # Torch deprecates what torchvision calls.
        warnings.filterwarnings("ignore", category=FutureWarning)
        program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
        if precision.dtype is not None:
            program = program.run_decompositions({})  # casts in the place of autocast
    forget_sources(program)
    return program


def example_inputs(batch: int, tile_px: int, device: torch.device) -> tuple[Tensor, ...]:
    """Return blank tiles with their sizes and parts.

    Args:
        batch: B.
        tile_px: T.
        device: where to.

    Returns:
        (B, 3, T, T) uint8, (B, 2) float32 and (B, 4) float32.
    """
    images = torch.zeros(batch, 3, tile_px, tile_px, dtype=torch.uint8, device=device)
    sizes_hw = torch.full((batch, 2), float(tile_px), device=device)
    parts_xyxy = torch.tensor([0.0, 0.0, tile_px, tile_px], device=device).repeat(batch, 1)
    return images, sizes_hw, parts_xyxy


def forget_sources(program: ExportedProgram) -> None:
    """Remove from every node the lines of code that made it, with this machine's folders.

    Args:
        program: changed in place.
    """
    for graph in _graphs(program.graph_module):
        for node in graph.nodes:
            node.meta.pop("stack_trace", None)
    program._example_inputs = None  # blank tiles, as large as they are


class _InPrecision(nn.Module):
    """Has autocast inside, where an export sees it."""

    def __init__(self, detector: nn.Module, precision: Precision):
        super().__init__()
        self.detector = detector
        self.precision = precision

    def forward(
        self, images: Tensor, sizes_hw: Tensor, parts_xyxy: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        with self.precision.autocast():
            return self.detector(images, sizes_hw, parts_xyxy)


def _graphs(module: nn.Module) -> Iterator[torch.fx.Graph]:
    for one in module.modules():
        if isinstance(one, torch.fx.GraphModule):
            yield one.graph
