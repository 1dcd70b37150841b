"""One photo as the audit sees it: its file, its pixels, its annotation, and what it looks like.

Near copies are found among thousands by a few numbers a photo: a perceptual hash (the signs of low
frequencies) finds candidates quickly, and a thumbnail of 1 kB confirms them: unlike the hash, it is
not fooled by two photos that share only their light.

Shape shorthand: N photos, P pairs.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from acnet.data.audit.findings import Finding
from acnet.data.readers.safe_files import member
from acnet.data.readers.source import Source
from acnet.data.readers.yolo import NO_LABEL
from acnet.data.records import Annotated, Note
from acnet.errors import UnreadableFileError
from acnet.photos.decode import UPRIGHT_BY_ORIENTATION, orientation
from acnet.photos.read import open_image

HASH_SIDE = 8
HASH_BITS = HASH_SIDE**2
THUMBNAIL_SIDE = 4 * HASH_SIDE
# (8, 32) the lowest waves of the discrete cosine transform, one a row.
LOW_WAVES = np.cos(
    np.pi / THUMBNAIL_SIDE * np.outer(np.arange(HASH_SIDE), np.arange(THUMBNAIL_SIDE) + 0.5)
)
MIRROR_SIGNS = (-1.0) ** np.arange(HASH_SIDE)  # odd waves change their sign
BLOCK_ROWS = 1024  # photos that are compared with all others at a time: bounds the memory


@dataclass(frozen=True)
class Looks:
    """One photo, upright."""

    bits: np.ndarray  # (64,) bool, its perceptual hash
    mirrored_bits: np.ndarray  # (64,) bool, that of the photo flipped left to right
    thumbnail: np.ndarray  # (32, 32) uint8, grey


@dataclass(frozen=True)
class NearPair:
    """Two photos, by index, the smaller first, that look alike."""

    first: int
    second: int
    differing_bits: int  # of the 64 of their hashes
    correlation: float  # of their thumbnails, at most 1
    mirrored: bool  # one is like the other flipped left to right


def thumbnail_looks(thumbnail: Image.Image) -> Looks:
    """Hash the upright photo, grey, shrunk to 32x32."""
    pixels = np.asarray(thumbnail)
    low = LOW_WAVES @ pixels.astype(np.float64) @ LOW_WAVES.T
    mirrored = low * MIRROR_SIGNS  # of the photo flipped left to right
    return Looks(*((waves > np.median(waves)).ravel() for waves in (low, mirrored)), pixels)


def near_pairs(
    looks: Sequence[Looks], *, max_differing_bits: int, min_correlation: float
) -> list[NearPair]:
    """Find all pairs of photos that look alike, also where one is the other's mirror image.

    A pair that is alike in both ways counts as not mirrored. Pairs are sorted.
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
    """Compare each of `bits`, (N, B) bool, with every later one of `other_bits`, block by block.

    Yields:
        (P,) indices i, (P,) indices j > i, and in how many bits they differ; sorted.
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


UPRIGHT = 1
MAX_FILE_BYTES = 1 << 29  # no photo is as large, and it has to fit into memory
DRAFT_SIDE = 8 * THUMBNAIL_SIDE  # px, at least: shrinking from there averages 64 pixels and more


@dataclass(frozen=True)
class Photo:
    """What is known of a photo after reading it."""

    file_name: str  # below the folder of the pictures
    findings: tuple[Finding, ...] = ()  # on the file, the picture and the annotation's being there
    sha256: str = ""  # of the file's bytes; empty where there is no file
    orientation: int = UPRIGHT  # EXIF's, 1 for upright
    # What nearly identical photos share; None where the picture is unreadable.
    looks: Looks | None = None
    annotated: Annotated | None = None  # None where picture or annotation cannot be used


def examine(file_name: str, *, source: Source) -> Photo:
    """Read a photo and its annotation; what cannot be read is among its findings.

    The picture is decoded to its end, since a damaged file may well have a sound header.
    """
    try:
        path = member(source.image_root, file_name)
    except UnreadableFileError as error:
        return Photo(file_name, (Finding("picture unreadable", file_name, str(error)),))
    if not path.is_file():
        return Photo(file_name, (Finding("picture missing", file_name),))
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        detail = f"{size:,} bytes; at most {MAX_FILE_BYTES:,} are read"
        return Photo(file_name, (Finding("picture unreadable", file_name, detail),))
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        tag, looks = _decode(path, content)
    except UnreadableFileError as error:
        finding = Finding("picture unreadable", file_name, _reason(error))
        return Photo(file_name, (finding,), sha256)
    annotated, found = _read_annotation(file_name, source)
    if tag in UPRIGHT_BY_ORIENTATION:
        found.append(Finding("EXIF orientation", file_name, f"tag {tag}"))
    return Photo(file_name, tuple(found), sha256, tag, looks, annotated)


def _decode(path: Path, content: bytes) -> tuple[int, Looks]:
    """Decode the whole file; return the EXIF orientation and the looks."""
    with open_image(path, content) as image:
        tag = orientation(image)
        # A JPEG's codes are all read at a reduced size too, so the same damage is found, and only
        # the transform to pixels is shortened: 16 ms instead of 47 ms for 3112x3456.
        image.draft("L", (DRAFT_SIDE, DRAFT_SIDE))
        grey = image.convert("L")
        size, smooth = (THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS
        small = grey.resize(size, smooth, reducing_gap=3.0)
        turn = UPRIGHT_BY_ORIENTATION.get(tag)
        return tag, thumbnail_looks(small if turn is None else small.transpose(turn))


def _read_annotation(file_name: str, source: Source) -> tuple[Annotated | None, list[Finding]]:
    try:
        annotated = source.read(file_name)
    except UnreadableFileError as error:
        return None, [Finding("annotation unreadable", file_name, _reason(error))]
    except FileNotFoundError:
        return None, [Finding("annotation missing", file_name)]
    return annotated, [note_finding(note) for note in annotated.notes]


def note_finding(note: Note) -> Finding:
    """Report what a reader left out."""
    if note.kind == NO_LABEL:
        return Finding("annotation missing", note.file_name, "counts as a photo without boxes")
    detail = f"{note.kind} {note.detail}".strip()
    return Finding("annotation not taken", note.file_name, detail, note.count)


def _reason(error: UnreadableFileError) -> str:
    """The cause alone: the finding itself says the rule, the file and the remedy."""
    return str(error.__cause__ or error)
