"""Generated photos: with their lesions as the evaluation takes them, and as a prepared set."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.acne04 import open_acne04
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.data.toy.toy_set import JPEG_QUALITY, write_toy_set
from acnet.evaluation import Detections, GroundTruth, sort_detections, xyxy_to_xywh
from acnet.files import atomic_write, default_workers, map_photos
from acnet.photos.decode import write_jpeg

LESION_PX = (6.0, 80.0)  # what the small model is trained for


def ground_truth_of(photos: Sequence[tuple[tuple[int, int], np.ndarray]]) -> GroundTruth:
    """Puts the lesions of photos into columns.

    Args:
        photos: (height, width) and (G, 4) corners of the lesions, in the order of the ids, from 1.
    """
    boxes = xyxy_to_xywh(np.concatenate([boxes for _, boxes in photos]).astype(np.float64))
    counts = [len(boxes) for _, boxes in photos]
    nothing = np.zeros(len(boxes), bool)
    return GroundTruth(
        image_ids=np.arange(1, len(photos) + 1),
        file_names=tuple(f"{index}.jpg" for index in range(1, len(photos) + 1)),
        image_hw=np.array([image_hw for image_hw, _ in photos]),
        category_ids=np.array([1]),
        class_names=("acne",),
        photo=np.repeat(np.arange(len(photos), dtype=np.int32), counts),
        classes=np.zeros(len(boxes), np.int32),
        boxes_xywh=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=nothing,
        difficult=nothing,
    )


def detections_of(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Detections:
    """Puts the detections of photos into columns.

    Args:
        found: for each photo (N, 4) corners in pixels and (N,) scores.
    """
    boxes = np.concatenate([boxes.reshape(-1, 4) for boxes, _ in found]).astype(np.float64)
    return sort_detections(
        photo=np.repeat(np.arange(len(found)), [len(scores) for _, scores in found]),
        classes=np.zeros(len(boxes)),
        boxes_xywh=xyxy_to_xywh(boxes),
        scores=np.concatenate([scores for _, scores in found]),
    )


@dataclass(frozen=True, eq=False)
class SavedPhoto:
    """A photo on disk, and its lesions.

    Args:
        path: of the JPEG.
        image_hw: height and width in pixels.
        boxes_xyxy: (G, 4) lesions.
    """

    path: Path
    image_hw: tuple[int, int]
    boxes_xyxy: np.ndarray


def draw_set(
    folder: Path, count: int, size_wh: tuple[int, int], *, density: float, seed: int
) -> list[SavedPhoto]:
    """Draws photos as JPEGs, unless they are there, with lesions of the sizes of training.

    Args:
        folder: for the files.
        count: of photos.
        size_wh: their width and height.
        density: factor on the number of lesions.
        seed: not that of a training.
    """
    options = ToyOptions(seed=seed, sizes_px=(size_wh,), lesion_px=LESION_PX, density=density)
    draw = functools.partial(_draw_to_file, folder, options)
    return list(map_photos(draw, range(count), workers=default_workers(), description="drawing"))


def _draw_to_file(folder: Path, options: ToyOptions, index: int) -> SavedPhoto:
    path, boxes_path = folder / f"{index}.jpg", folder / f"{index}.npy"
    if not boxes_path.is_file():  # the last that is written
        photo = draw_photo(options, index)
        write_jpeg(path, photo.image_bgr, JPEG_QUALITY)
        with atomic_write(boxes_path) as temporary:
            np.save(temporary, photo.boxes_xyxy)
    width, height = options.sizes_px[0]
    return SavedPhoto(path, (height, width), np.load(boxes_path))


TOY = ToyOptions(sizes_px=((3112, 3456),), lesion_px=(20.0, 300.0), density=2.0)
SPLITS = ("trainval_0", "test_0")  # together all photos
FEWEST_PHOTOS = 5  # that a toy set has


def draw_and_import(work: Path, photos: int, name: str) -> ImportedSet:
    """Draws photos, unless they are there, and imports them.

    Args:
        work: folder for everything.
        photos: how many, at least 5; a photo takes about 6 s of a core.
        name: of the prepared set's folder below `work`.

    Returns:
        The prepared set, with the splits of SPLITS.
    """
    source = work / f"photos_{photos}"
    write_toy_set(source, TOY, photos=photos, workers=default_workers())
    layout = PreparedLayout.of_folder(work / name)
    return import_set(open_acne04(source), layout, ImportOptions(splits=SPLITS))
