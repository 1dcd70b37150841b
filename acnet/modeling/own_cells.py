"""Which cells of a map are a picture's own, so that its answer does not depend on its padding.

A batch pads pictures to the right and below until all have one size. Convolutions, norms and ReLUs
fill the padding with numbers, which must not enter what is said of the picture: neither by a mean
over the map, nor across the picture's border.

Shape shorthand:
    B: pictures of the batch
    H, W: cells of a map
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SizesHW = Tensor | Sequence[tuple[int, int]] | None


def run_backbone(backbone: nn.Module, image: Tensor, sizes_hw: SizesHW) -> dict[str, Tensor]:
    """Call a backbone, with the sizes of the pictures if it has the attribute `pools_over_map`."""
    return backbone(image, sizes_hw) if has_mark(backbone, "pools_over_map") else backbone(image)


def has_mark(module: nn.Module, name: str) -> bool:
    """Whether a module has an attribute, also where DDP, FSDP or `torch.compile` wraps it."""
    return hasattr(module, name) or hasattr(getattr(module, "module", None), name)


def own_cells(maps: Tensor, sizes_hw: SizesHW, stride: int) -> Tensor | None:
    """Return which cells of maps (B, C, H, W) hold a pixel of their picture, for what pools them.

    The sizes (B, 2) are those of the pictures without padding, in pixels.

    Returns:
        (B, 1, H, W) bool; None where all cells do, or the sizes are None.
    """
    if sizes_hw is None:
        return None
    if not isinstance(sizes_hw, Tensor):
        height, width = maps.shape[2] * stride, maps.shape[3] * stride
        if all(h > height - stride and w > width - stride for h, w in sizes_hw):
            return None
        sizes_hw = torch.tensor(sizes_hw, device=maps.device)
    return cells_inside(sizes_hw, maps.shape[2:], stride)


def cells_inside(sizes_hw: Tensor, grid_hw: Sequence[int], stride: int) -> Tensor:
    """Return which cells of a grid (H, W) begin inside their picture (B, 2): (B, 1, H, W) bool."""
    rows, columns = ((size / stride)[:, None, None, None] for size in sizes_hw.unbind(1))
    row = torch.arange(grid_hw[0], device=sizes_hw.device)[:, None]
    return (row < rows) & (torch.arange(grid_hw[1], device=sizes_hw.device) < columns)


def whole_cells(sizes_hw: Tensor, divisibility: int) -> Tensor:
    """Return the sizes (B, 2) that pictures are padded to where each is alone, in pixels."""
    return (sizes_hw / divisibility).ceil() * divisibility


def extend_edges(maps: Tensor, sizes_hw: Tensor, stride: int) -> Tensor:
    """Repeat each picture's last row and column of cells, as an interpolation at a border does.

    The maps are (B, C, H, W), the sizes (B, 2) in pixels and divisible by the stride.
    """
    rows, columns = (sizes_hw / stride).unbind(1)  # (B,)
    is_next = torch.arange(maps.shape[3], device=maps.device) == columns[:, None, None, None]
    maps = torch.where(is_next, F.pad(maps[..., :-1], (1, 0)), maps)
    is_next = torch.arange(maps.shape[2], device=maps.device)[:, None] == rows[:, None, None, None]
    return torch.where(is_next, F.pad(maps[..., :-1, :], (0, 0, 1, 0)), maps)


@contextmanager
def padding_kept_out(
    parts: Iterable[nn.Module], sizes_hw: Tensor, canvas_hw: Sequence[int]
) -> Iterator[None]:
    """Let the layers of some parts compute of each picture what they do where it is alone.

    What a layer reads beyond a picture's border is what it would read there without any padding:
    zeros for a convolution, nothing for an average, the nearest cell for an interpolation. All
    sizes but those of the pictures are constants, so this can be exported.

    Args:
        parts: backbone and RPN head, say.
        sizes_hw: (B, 2), in pixels, divisible by the deepest stride: see `whole_cells`.
        canvas_hw: height and width of the batch, in pixels.
    """
    own_of_grid: dict[tuple[int, int], Tensor] = {}

    def own(maps: Tensor) -> Tensor:
        grid_hw = tuple(maps.shape[2:])
        if grid_hw not in own_of_grid:
            own_of_grid[grid_hw] = cells_inside(sizes_hw, grid_hw, canvas_hw[0] // grid_hw[0])
        return own_of_grid[grid_hw].to(maps.dtype)

    def blank(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (inputs[0] * own(inputs[0]),)

    def average(pool: nn.AvgPool2d, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        share = pool.forward(own(inputs[0]))  # of the cells under the kernel; 0 far outside
        return output / share.clamp(min=1e-3)

    def extend(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return extend_edges(output, sizes_hw, canvas_hw[0] // output.shape[2])

    handles = []
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d) and _crosses_border(module):
            handles.append(module.register_forward_pre_hook(blank))
        elif isinstance(module, nn.AvgPool2d):
            handles.append(module.register_forward_pre_hook(blank))
            handles.append(module.register_forward_hook(average))
        for layer in getattr(module, "before_interpolation", list)():
            handles.append(layer.register_forward_hook(extend))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _crosses_border(conv: nn.Conv2d) -> bool:
    """Whether the last cell of a picture, of even size where the stride is 2, reads beyond it."""
    return any(
        dilation * (kernel - 1) - padding > stride - 1
        for kernel, stride, padding, dilation in zip(
            conv.kernel_size, conv.stride, conv.padding, conv.dilation, strict=True
        )
    )
