"""RoIAlign (He et al., 2017, Mask R-CNN) as two small matrix products a box.

Bilinear interpolation is separable, and so is the mean over the samples of a bin: what a box reads
is `rows @ window @ columns.T`, where each row of the two matrices holds the averaged weights of
one bin. The products run at the speed of matrix multiplication, and the gradient is their
transpose: no scattered writes, whose order would have to be guarded.

Shape shorthand:
    B: images, C: channels, H, W: cells of the map
    R: boxes of all images, K: boxes an image, P, Q: rows and columns of bins
"""

import functools
import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torchvision.ops._utils import convert_boxes_to_roi_format

logger = logging.getLogger(__name__)

# Bytes that the dense form may hold between its two products, for each image.
_CHUNK_BYTES = 64 * 2**20


def roi_align(
    features: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = True,
    bin_stride: int = 1,
) -> Tensor:
    """Pool each box to a fixed grid of bins by bilinear sampling: `torchvision.ops.roi_align`.

    On a GPU it is a kernel of its own, in the precision of the features, where that can be built.
    Elsewhere two forms give the same result. Boxes as a list or (R, 5) read only the cells under
    them; that needs the boxes' values on the host, so it is for the CPU. Boxes as (B, K, 4) are
    multiplied with the whole map: more work, but no size depends on a value, which `torch.export`
    needs.

    Args:
        features: (B, C, H, W); contiguous or, without a copy, in channels_last.
        boxes: corners in pixels: a list of (N, 4), one an image; or (R, 5) with the index of the
            image first; or (B, K, 4), which may be padded with boxes of zeros.
        output_size: P and Q, or one number for both.
        spatial_scale: cells per pixel.
        sampling_ratio: samples a bin along each axis; 0 or less for as many as a bin has cells,
            rounded up. The form for export then allows for boxes as long as the map, no longer.
        aligned: whether cell centres are at half pixels, as in "ROIAlignV2".
        bin_stride: pool only every n-th row and column of bins, for whoever reads no others: the
            result is `[:, :, ::n, ::n]` of that with 1. Not for boxes as (B, K, 4).

    Returns:
        (R, C, P, Q), in channels_last and in the precision of the features; it is computed in
        float32 (float64 for such features), also under autocast.

    Raises:
        ValueError: if features or boxes have another shape, or their numbers of images differ.
    """
    if features.dim() != 4:
        raise ValueError(f"Features must be (B, C, H, W). Received {tuple(features.shape)}.")
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    options = (spatial_scale, sampling_ratio, aligned)
    is_listed = not isinstance(boxes, Tensor) or boxes.dim() == 2
    if is_listed and has_kernel(features):
        from acnet.layers.roi_align_gpu import PoolBins

        boxes = boxes if isinstance(boxes, Tensor) else convert_boxes_to_roi_format(list(boxes))
        with torch.autocast(features.device.type, enabled=False):
            return PoolBins.apply(features, boxes, (rows, columns), *options, bin_stride)
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    with torch.autocast(features.device.type, enabled=False):
        cells = features.permute(0, 2, 3, 1).to(dtype).contiguous()  # (B, H, W, C)
        if isinstance(boxes, Tensor) and boxes.dim() == 3:
            pooled = _dense(cells, boxes.to(dtype), (rows, columns), options)
        else:
            images, corners = _image_of_each_box(boxes, len(features))
            weights = _weights(corners.to(dtype), features.shape[2:], (rows, columns), options)
            row_weights, column_weights = (one[:, ::bin_stride] for one in weights)
            pooled = _Windowed.apply(cells, images, row_weights, column_weights)
        return pooled.permute(0, 3, 1, 2).to(features.dtype)  # (R, C, P, Q)


def has_kernel(features: Tensor) -> bool:
    """Whether boxes are pooled from these features by the kernel for GPUs, in their precision."""
    return features.is_cuda and features.dtype != torch.float64 and runs_triton(features.device)


@functools.cache
def runs_triton(device: torch.device) -> bool:
    """Whether kernels for a GPU can be built by Triton here, which needs a C compiler."""
    try:
        from acnet.layers.roi_align_gpu import PoolBins

        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            one = torch.ones(1, 1, 2, 2, device=device)
            PoolBins.apply(one, one.new_zeros(1, 5), (1, 1), 1.0, 1, True, 1)
    except Exception as error:  # noqa: BLE001 - compilers and drivers raise anything
        reason = " ".join(f"{error}".split())[:200]
        logger.warning(
            "RoIAlign takes torchvision's slower kernel, since Triton cannot build its own here "
            "(%s: %s). Install a C compiler.",
            *(type(error).__name__, reason),
        )
        return False
    return True


def _weights(
    corners: Tensor,
    map_hw: tuple[int, int],
    output_hw: tuple[int, int],
    options: tuple[float, int, bool],
    most_samples: tuple[int | None, int | None] = (None, None),
) -> tuple[Tensor, Tensor]:
    """(..., P, H) and (..., Q, W) of boxes (..., 4)."""
    x0, y0, x1, y1 = corners.unbind(-1)
    rows = _sampling_matrix(y0, y1, output_hw[0], map_hw[0], *options, most_samples[0])
    return rows, _sampling_matrix(x0, x1, output_hw[1], map_hw[1], *options, most_samples[1])


def _image_of_each_box(
    boxes: Tensor | Sequence[Tensor], num_images: int
) -> tuple[list[int], Tensor]:
    """R indices of images, and corners (R, 4)."""
    if isinstance(boxes, Tensor):
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            raise ValueError(
                "Boxes must be a list of (N, 4), or (R, 5) with the image first, or (B, K, 4). "
                f"Received {tuple(boxes.shape)}."
            )
        return boxes[:, 0].long().tolist(), boxes[:, 1:]
    if len(boxes) != num_images:
        raise ValueError(f"Each image has its boxes. Received {len(boxes)} for {num_images}.")
    images = [image for image, some in enumerate(boxes) for _ in range(len(some))]
    return images, torch.cat(list(boxes)).reshape(-1, 4)


def _dense(
    cells: Tensor, boxes: Tensor, output_hw: tuple[int, int], options: tuple[float, int, bool]
) -> Tensor:
    """(B * K, P, Q, C) of boxes (B, K, 4), in parts that bound the memory."""
    (rows, columns), (num_images, height, width, channels) = output_hw, cells.shape
    most = tuple(
        -(-cells_ // bins) for cells_, bins in zip((height, width), output_hw, strict=True)
    )
    row_weights, column_weights = _weights(boxes, (height, width), output_hw, options, most)
    size = max(1, _CHUNK_BYTES // (rows * width * channels * cells.element_size()))
    flat = cells.reshape(num_images, height, width * channels)
    pooled = []
    for vertical, horizontal in zip(
        row_weights.split(size, dim=1), column_weights.split(size, dim=1), strict=True
    ):
        count = vertical.shape[1]
        strips = vertical.reshape(num_images, count * rows, height) @ flat
        strips = strips.reshape(num_images, count, rows, width, channels)
        pooled.append(horizontal[:, :, None] @ strips)  # (B, k, P, Q, C)
    if not pooled:
        return cells.new_zeros(0, rows, columns, channels)
    return torch.cat(pooled, dim=1).flatten(0, 1)


class _Windowed(torch.autograd.Function):
    """Multiplies each box's matrices with the cells that it reads, and no others."""

    @staticmethod
    def forward(
        ctx, cells: Tensor, images: list[int], row_weights: Tensor, column_weights: Tensor
    ) -> Tensor:
        """(B, H, W, C), R indices, (R, P, H) and (R, Q, W) to (R, P, Q, C)."""
        ctx.save_for_backward(row_weights, column_weights)
        ctx.map_shape = cells.shape
        ctx.windows = list(
            zip(images, _used_cells(row_weights), _used_cells(column_weights), strict=True)
        )
        rows, columns, channels = row_weights.shape[1], column_weights.shape[1], cells.shape[3]
        pooled = cells.new_empty(len(images), rows, columns, channels)
        for index, (image, (top, bottom), (left, right)) in enumerate(ctx.windows):
            window = _window(cells[image], (top, bottom), (left, right))
            strips = torch.mm(row_weights[index, :, top:bottom], window)  # (P, w * C)
            strips = strips.view(rows, right - left, channels)
            torch.matmul(column_weights[index, :, left:right], strips, out=pooled[index])
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """The transposes, added box by box in their order."""
        row_weights, column_weights = ctx.saved_tensors
        rows, channels = row_weights.shape[1], ctx.map_shape[3]
        grad, cells_grad = grad.contiguous(), grad.new_zeros(ctx.map_shape)
        with torch.autocast(grad.device.type, enabled=False):
            for index, (image, (top, bottom), (left, right)) in enumerate(ctx.windows):
                strips = torch.matmul(column_weights[index, :, left:right].T, grad[index])
                strips = strips.view(rows, (right - left) * channels)  # (P, w * C)
                window = _window(cells_grad[image], (top, bottom), (left, right))
                window.addmm_(row_weights[index, :, top:bottom].T, strips)
        return cells_grad, None, None, None


def _window(cells: Tensor, vertical: tuple[int, int], horizontal: tuple[int, int]) -> Tensor:
    """(h, w * C), a view of cells (H, W, C)."""
    (top, bottom), (left, right) = vertical, horizontal
    window = cells[top:bottom, left:right]
    return window.view(bottom - top, (right - left) * cells.shape[2])


def _sampling_matrix(
    start: Tensor,
    end: Tensor,
    num_bins: int,
    num_cells: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    most_samples: int | None = None,
) -> Tensor:
    """Weights with which each bin of each box reads each cell, along one axis.

    A sample reads the two cells around it, nearer ones more: the hat function of its distance to
    a cell. Samples up to one cell outside the map read its border, those beyond read zero.

    Args:
        start, end: (...) edges of the boxes, in pixels.
        num_bins: P, bins a box.
        num_cells: L, cells of the map along this axis.
        spatial_scale, sampling_ratio: see `roi_align`.
        aligned: see `roi_align`; if not, a box is at least a cell long.
        most_samples: bound of what a sampling_ratio of 0 chooses, where it must not depend on the
            boxes' values; None to look at them.

    Returns:
        (..., P, L); the weights of a bin add up to 1 if all of its samples are in the map.
    """
    offset = 0.5 if aligned else 0.0
    first = start * spatial_scale - offset
    length = end * spatial_scale - offset - first  # rounded as torchvision does: see `ceil` below
    if not aligned:
        length = length.clamp(min=1)
    bin_length = (length / num_bins)[..., None]  # (..., 1)
    if sampling_ratio > 0:
        samples, most_samples = torch.full_like(bin_length, sampling_ratio), sampling_ratio
    else:
        samples = bin_length.ceil()
        if most_samples is None:
            most_samples = int(samples.max()) if samples.numel() else 0
    cells = torch.arange(num_cells, device=start.device, dtype=start.dtype)
    bins = torch.arange(num_bins, device=start.device, dtype=start.dtype)
    bin_start = first[..., None] + bins * bin_length  # (..., P)
    weights = start.new_zeros(*start.shape, num_bins, num_cells)
    count = samples.clamp(min=1)  # (..., 1)
    for sample in range(most_samples):
        position = bin_start + (sample + 0.5) * bin_length / count
        counts = (position >= -1) & (position <= num_cells) & (sample < samples)
        distance = (position.clamp(0, num_cells - 1)[..., None] - cells).abs()
        weights = weights + (1 - distance).clamp(min=0) * counts[..., None]
    return weights / count[..., None]


def _used_cells(weights: Tensor) -> list[tuple[int, int]]:
    """The first cell that each box reads by weights (R, P, L), and one past its last.

    The two are equal if it reads none.
    """
    if weights.numel() == 0:
        return [(0, 0)] * len(weights)
    used = (weights > 0).any(dim=1)  # (R, L)
    first = used.byte().argmax(dim=1)  # the first of equal ones
    last = weights.shape[2] - used.flip(1).byte().argmax(dim=1)
    last = torch.where(used.any(dim=1), last, first)
    return list(zip(first.tolist(), last.tolist(), strict=True))
