"""Whether boxes were drawn on a coarse grid, as ACNE04's were: in steps of about 7.7 px.

The boxes of a shrunken copy, scaled up again, lie on multiples of a step. Errors of half a step
then limit the overlap that a perfect detector can reach on small lesions.
"""

import collections
from collections.abc import Iterator, Sequence

import numpy as np

from acnet.data.audit.findings import Finding
from acnet.data.records import Annotated

MIN_STEP_PX, MAX_STEP_PX = 2.5, 32.0  # whole pixels are no coarse grid
MIN_DISTINCT = 32  # fewer coordinates agree with some step by chance
MAX_COORDINATES = 512  # more do not change the result
MIN_AGREEMENT = 0.9  # multiples of 7.7 px, rounded to whole pixels, agree by 0.97


def check_grid(photos: Sequence[Annotated]) -> Iterator[Finding]:
    """Looks for a common step in the boxes of all pictures of one size.

    Args:
        photos: of the whole set.

    Yields:
        A finding for each size whose boxes have one.
    """
    by_size = collections.defaultdict(list)
    for photo in photos:
        by_size[photo.image_hw].append(photo.boxes_xyxy)
    for (height, width), boxes in sorted(by_size.items()):
        boxes_xyxy = np.concatenate(boxes)
        step_x = grid_step(boxes_xyxy[:, 0::2], width)
        step_y = grid_step(boxes_xyxy[:, 1::2], height)
        if step_x is not None and step_y is not None:
            detail = f"{len(boxes)} pictures of {width}x{height}: {step_x:.2f} by {step_y:.2f} px"
            yield Finding("coarse grid", "", detail, len(boxes_xyxy))


def grid_step(edges: np.ndarray, side_px: int) -> float | None:
    """Finds the largest step of which nearly all coordinates are multiples, plus an offset.

    Args:
        edges: (N, 2) both edges of each box along one axis, in pixels. Their offsets may differ, as
            in VOC, which includes the last pixel.
        side_px: of the picture; edges on its rim say nothing, since they may have been clipped.

    Returns:
        The step in pixels, or None where there is none.
    """
    inside = np.isfinite(edges) & (edges > 0) & (edges < side_px)
    samples = [_sample(edges[inside[:, i], i]) for i in (0, 1)]
    if any(len(np.unique(sample)) < MIN_DISTINCT for sample in samples):
        return None
    # A peak in the spectrum is 1 / side wide: eight frequencies across it do not miss it.
    low, high = 1.0 / MAX_STEP_PX, 1.0 / MIN_STEP_PX
    frequencies = np.linspace(low, high, int((high - low) * 8 * side_px) + 2)
    agreement = np.mean([_agreement(sample, frequencies) for sample in samples], axis=0)
    good = agreement >= MIN_AGREEMENT
    if not good.any():
        return None
    start = int(good.argmax())  # the lowest frequency: the higher ones are its multiples
    end = start + int((~good[start:]).argmax() or len(good) - start)
    return float(1.0 / frequencies[start + agreement[start:end].argmax()])


def _sample(values: np.ndarray) -> np.ndarray:
    """Takes evenly spread values, so that the result does not hang on chance."""
    return values[:: max(1, -(-len(values) // MAX_COORDINATES))]


def _agreement(values: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """1 where all values lie at the same phase of a wave, about 0 where they lie anywhere."""
    angles = 2.0 * np.pi * np.outer(frequencies, values)
    return np.hypot(np.cos(angles).mean(axis=1), np.sin(angles).mean(axis=1))
