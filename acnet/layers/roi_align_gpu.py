"""RoIAlign on a GPU, in the memory format of convolutions: kernels in Triton.

torchvision's kernel wants maps in float32, channel by channel, and pools bins that nobody reads. A
map in bfloat16 with channels last was converted twice for it, which took as long as its pooling.
Here neighbours in a block of threads are neighbouring channels, so reads and writes are whole.

Shape shorthand:
    B: images, C: channels, H, W: cells of the map
    R: boxes of all images, P, Q: rows and columns of bins
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 256  # channels of a program


@triton.jit
def _pool(
    cells, boxes, pooled, map_h, map_w, channels, grid_h, grid_w,
    rows, columns, bin_stride, scale, offset, ratio, least,
    backward: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One bin of one box: the mean over its samples; backward, its gradient's way to the cells."""
    box, place = tl.program_id(0), tl.program_id(1)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    inside = channel < channels
    image = tl.load(boxes + box * 5).to(tl.int64)
    left = tl.load(boxes + box * 5 + 1) * scale - offset
    top = tl.load(boxes + box * 5 + 2) * scale - offset
    width = tl.load(boxes + box * 5 + 3) * scale - offset - left
    height = tl.load(boxes + box * 5 + 4) * scale - offset - top
    bin_w, bin_h = tl.maximum(width, least) / columns, tl.maximum(height, least) / rows
    row, column = (place // grid_w) * bin_stride, (place % grid_w) * bin_stride
    samples_y, samples_x = ratio, ratio
    if ratio <= 0:
        samples_y, samples_x = tl.ceil(bin_h).to(tl.int32), tl.ceil(bin_w).to(tl.int32)
    share = 1.0 / tl.maximum(samples_y * samples_x, 1)
    own = pooled + ((box.to(tl.int64) * grid_h * grid_w) + place) * channels + channel
    base = cells + image * map_h * map_w * channels + channel
    mean = tl.zeros([block], tl.float32)
    if backward:
        mean = tl.load(own, mask=inside, other=0.0).to(tl.float32) * share
    for i in range(samples_y):
        y = top + row * bin_h + (i + 0.5) * bin_h / samples_y
        for j in range(samples_x):
            x = left + column * bin_w + (j + 0.5) * bin_w / samples_x
            if (y >= -1.0) & (y <= map_h) & (x >= -1.0) & (x <= map_w):
                yy = tl.minimum(tl.maximum(y, 0.0), map_h - 1.0)
                xx = tl.minimum(tl.maximum(x, 0.0), map_w - 1.0)
                y0, x0 = tl.floor(yy).to(tl.int32), tl.floor(xx).to(tl.int32)
                y1, x1 = tl.minimum(y0 + 1, map_h - 1), tl.minimum(x0 + 1, map_w - 1)
                low, near = yy - y0, xx - x0
                at00, at01 = (
                    base + (y0 * map_w + x0) * channels,
                    base + (y0 * map_w + x1) * channels,
                )
                at10, at11 = (
                    base + (y1 * map_w + x0) * channels,
                    base + (y1 * map_w + x1) * channels,
                )
                w00, w01 = (1.0 - low) * (1.0 - near), (1.0 - low) * near
                w10, w11 = low * (1.0 - near), low * near
                if backward:
                    tl.atomic_add(at00, w00 * mean, mask=inside)
                    tl.atomic_add(at01, w01 * mean, mask=inside)
                    tl.atomic_add(at10, w10 * mean, mask=inside)
                    tl.atomic_add(at11, w11 * mean, mask=inside)
                else:
                    mean += w00 * tl.load(at00, mask=inside, other=0.0).to(tl.float32)
                    mean += w01 * tl.load(at01, mask=inside, other=0.0).to(tl.float32)
                    mean += w10 * tl.load(at10, mask=inside, other=0.0).to(tl.float32)
                    mean += w11 * tl.load(at11, mask=inside, other=0.0).to(tl.float32)
    if not backward:
        tl.store(own, (mean * share).to(pooled.dtype.element_ty), mask=inside)


class PoolBins(torch.autograd.Function):
    """`torchvision.ops.roi_align` of boxes (R, 5), for every n-th row and column of bins.

    `PoolBins.apply(features, boxes, output_hw, spatial_scale, sampling_ratio, aligned, bin_stride)`
    takes features (B, C, H, W) and gives (R, C, P, Q), both best in channels_last and in the
    precision of the features; it computes in float32. The gradient's sums come in any order.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        boxes: Tensor,
        output_hw: tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool,
        bin_stride: int,
    ) -> Tensor:
        cells = features.detach().permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        rows, columns = output_hw
        grid_hw = -(-rows // bin_stride), -(-columns // bin_stride)
        offset, least = (0.5, 0.0) if aligned else (0.0, 1.0)
        options = (rows, columns, bin_stride, spatial_scale, offset, max(sampling_ratio, 0), least)
        boxes = boxes.float().contiguous()
        pooled = cells.new_empty(len(boxes), *grid_hw, cells.shape[3])
        _launch(cells, boxes, pooled, options, backward=False)
        ctx.save_for_backward(boxes)
        ctx.options, ctx.cells = options, (cells.shape, cells.dtype)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (boxes,), (shape, dtype) = ctx.saved_tensors, ctx.cells
        pooled = gradient.permute(0, 2, 3, 1).contiguous()
        cells = torch.zeros(shape, dtype=torch.float32, device=gradient.device)
        _launch(cells, boxes, pooled, ctx.options, backward=True)
        return cells.to(dtype).permute(0, 3, 1, 2), *[None] * 6


def _launch(cells: Tensor, boxes: Tensor, pooled: Tensor, options: tuple, backward: bool) -> None:
    _, height, width, channels = cells.shape
    count, rows, columns, _ = pooled.shape
    if count:
        grid = (count, rows * columns, triton.cdiv(channels, _BLOCK))
        sizes = (height, width, channels, rows, columns)
        with torch.cuda.device_of(cells):  # Triton launches on the current one
            _pool[grid](cells, boxes, pooled, *sizes, *options, backward=backward, block=_BLOCK)
