"""Where RoIAlign samples along one axis, as a matrix of weights: bins by cells."""

import torch
from torch import Tensor

__all__ = ["sampling_matrix", "used_cells"]


def sampling_matrix(
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
        start: (...) left or upper edges of the boxes, in pixels.
        end: (...) right or lower edges.
        num_bins: P, bins a box.
        num_cells: L, cells of the map along this axis.
        spatial_scale: cells per pixel.
        sampling_ratio: samples a bin; 0 or less for the cells that a bin spans, rounded up.
        aligned: whether cell centres are at half pixels; if not, a box is at least a cell long.
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


def used_cells(weights: Tensor) -> list[tuple[int, int]]:
    """The range of cells that each box reads.

    Args:
        weights: (R, P, L), of `sampling_matrix`.

    Returns:
        For each box its first cell and one past its last; equal if it reads none.
    """
    if weights.numel() == 0:
        return [(0, 0)] * len(weights)
    used = (weights > 0).any(dim=1)  # (R, L)
    first = used.byte().argmax(dim=1)  # the first of equal ones
    last = weights.shape[2] - used.flip(1).byte().argmax(dim=1)
    last = torch.where(used.any(dim=1), last, first)
    return list(zip(first.tolist(), last.tolist(), strict=True))
