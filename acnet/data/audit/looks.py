"""What a photo looks like in a few numbers, so that near copies are found among thousands.

A perceptual hash (the signs of low frequencies) finds candidates quickly, and a thumbnail of 1 kB
confirms them: unlike the hash, it is not fooled by two photos that share only their light.

Shape shorthand: N photos, P pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image, ImageOps

HASH_SIDE = 8
HASH_BITS = HASH_SIDE**2
THUMBNAIL_SIDE = 4 * HASH_SIDE  # what ImageHash computes the hash from
BLOCK_ROWS = 1024  # photos that are compared with all others at a time: bounds the memory


@dataclass(frozen=True)
class Looks:
    """One photo, upright.

    Args:
        bits: (64,) bool, its perceptual hash.
        mirrored_bits: (64,) bool, that of the photo flipped left to right.
        thumbnail: (32, 32) uint8, grey.
    """

    bits: np.ndarray
    mirrored_bits: np.ndarray
    thumbnail: np.ndarray


@dataclass(frozen=True)
class NearPair:
    """Two photos that look alike.

    Args:
        first: index of one photo.
        second: index of the other, larger.
        differing_bits: of the 64 of their hashes.
        correlation: of their thumbnails, at most 1.
        mirrored: one is like the other flipped left to right.
    """

    first: int
    second: int
    differing_bits: int
    correlation: float
    mirrored: bool


def thumbnail_looks(thumbnail: Image.Image) -> Looks:
    """Hashes a photo.

    Args:
        thumbnail: the upright photo, grey, shrunk to 32x32.

    Returns:
        Its looks.
    """
    return Looks(
        bits=imagehash.phash(thumbnail, HASH_SIDE).hash.ravel(),
        mirrored_bits=imagehash.phash(ImageOps.mirror(thumbnail), HASH_SIDE).hash.ravel(),
        thumbnail=np.asarray(thumbnail),
    )


def near_pairs(
    looks: Sequence[Looks], *, max_differing_bits: int, min_correlation: float
) -> list[NearPair]:
    """Finds all pairs of photos that look alike, also where one is the other's mirror image.

    Args:
        looks: of N photos.
        max_differing_bits: largest Hamming distance of two hashes, 0 to 64.
        min_correlation: smallest correlation of two thumbnails, up to 1.

    Returns:
        The pairs, sorted; a pair that is alike in both ways counts as not mirrored.
    """
    if not looks:
        return []
    bits = np.stack([look.bits for look in looks])
    thumbnails = np.stack([look.thumbnail for look in looks])
    unit, mirrored_unit = _unit(thumbnails), _unit(thumbnails[:, :, ::-1])
    mirrored_bits = np.stack([look.mirrored_bits for look in looks])
    found = {}
    for mirrored, other_bits, other_unit in (
        (True, mirrored_bits, mirrored_unit),
        (False, bits, unit),  # last, so that it prevails
    ):
        for first, second, differing in close_hashes(bits, other_bits, max_differing_bits):
            correlation = np.einsum("pd,pd->p", unit[first], other_unit[second])
            for p in np.flatnonzero(correlation >= min_correlation).tolist():
                i, j = int(first[p]), int(second[p])
                found[i, j] = NearPair(i, j, int(differing[p]), float(correlation[p]), mirrored)
    return [found[key] for key in sorted(found)]


def close_hashes(
    bits: np.ndarray, other_bits: np.ndarray, max_differing_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Compares every hash with every later one, block by block.

    Args:
        bits: (N, B) bool.
        other_bits: (N, B) bool, such as the hashes of the mirrored photos.
        max_differing_bits: largest distance to report.

    Yields:
        For each block of rows, (P,) indices i, (P,) indices j > i, and in how many bits `bits[i]`
        and `other_bits[j]` differ; sorted by i, then j.
    """
    # As signs, equal bits add +1 to the scalar product and differing ones -1, so that a product
    # of matrices, exact in float32 up to 2^24 bits, counts them for a block of rows at once.
    signs, other_signs = (np.where(b, 1, -1).astype(np.float32) for b in (bits, other_bits))
    least_product = bits.shape[1] - 2 * max_differing_bits
    for start in range(0, len(signs), BLOCK_ROWS):
        products = signs[start : start + BLOCK_ROWS] @ other_signs[start:].T
        rows, columns = np.nonzero(np.triu(products >= least_product, k=1))
        differing = (bits.shape[1] - products[rows, columns].astype(np.int64)) // 2
        yield start + rows, start + columns, differing


def _unit(thumbnails: np.ndarray) -> np.ndarray:
    """(N, 1024) of zero mean and unit length; zero where a picture is all of one colour."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)
