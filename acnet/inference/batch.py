"""Many photos through one model, into one folder of results."""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from detectron2.structures import Instances
from PIL import Image
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from acnet.data.files import atomic_write
from acnet.data.parallel import LOG_INTERVAL_SECONDS
from acnet.errors import UserError
from acnet.inference.photos import read_photo
from acnet.inference.predictor import Predictor
from acnet.inference.results import PhotoResult, coco_rows, write_results
from acnet.inference.sources import Source
from acnet.visualization.attention_maps import draw_saliency
from acnet.visualization.boxes import above_threshold, draw_predictions

logger = logging.getLogger(__name__)

JPEG_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What the user may choose about the outputs.

    Args:
        score_threshold: Lowest score that is drawn and counted, 0 to 1.
        labels: Scores at the boxes: "auto", "always" or "never".
        picture_suffix: ".jpg" or ".png".
        attention: Also draw the mask attention's saliency.
        max_megapixels: Photos with more are refused.
    """

    score_threshold: float = 0.5
    labels: str = "auto"
    picture_suffix: str = ".jpg"
    attention: bool = False
    max_megapixels: float = 16.0


def predict_photos(
    predictor: Predictor, sources: Sequence[Source], folder: Path, options: BatchOptions
) -> tuple[list[PhotoResult], list[str]]:
    """Predict photos one after the other, and write pictures and tables.

    A photo that cannot be read is reported and left out.

    Args:
        predictor: The model.
        sources: The photos.
        folder: For `pictures/`, `attention/`, and the files of `write_results`.
        options: About the outputs.

    Returns:
        The results, and the names of the photos that could not be read, each in order.
    """
    results, failed = [], []
    progress = tqdm(
        enumerate(sources, start=1),
        total=len(sources),
        desc="predicting",
        unit="photo",
        mininterval=0.1 if sys.stderr.isatty() else LOG_INTERVAL_SECONDS,
        disable=len(sources) == 1,
    )
    with logging_redirect_tqdm():
        for image_id, source in progress:
            try:
                results.append(_predict_one(predictor, image_id, source, folder, options))
            except (UserError, FileNotFoundError) as error:
                logger.warning("%s is left out: %s", source.name, error)
                failed.append(source.name)
    write_results(folder, results, predictor.class_names)
    return results, failed


def _predict_one(
    predictor: Predictor, image_id: int, source: Source, folder: Path, options: BatchOptions
) -> PhotoResult:
    start = time.perf_counter()
    photo_bgr = read_photo(source.path, max_megapixels=options.max_megapixels)
    instances = predictor(photo_bgr)
    seconds = time.perf_counter() - start
    _write_pictures(predictor, photo_bgr, instances, source.stem, folder, options)
    return PhotoResult(
        image_id=image_id,
        name=source.name,
        image_hw=photo_bgr.shape[:2],
        rows=coco_rows(instances, image_id),
        count=len(above_threshold(instances, options.score_threshold)),
        seconds=seconds,
    )


def _write_pictures(
    predictor: Predictor,
    photo_bgr: np.ndarray,
    instances: Instances,
    stem: str,
    folder: Path,
    options: BatchOptions,
) -> None:
    photo_rgb = np.ascontiguousarray(photo_bgr[:, :, ::-1])
    picture = draw_predictions(
        photo_rgb,
        instances,
        score_threshold=options.score_threshold,
        labels=options.labels,
        class_names=predictor.class_names,
    )
    name = f"{stem}{options.picture_suffix}"
    save_picture(folder / "pictures" / name, picture)
    if options.attention:
        saliency = draw_saliency(photo_rgb, predictor.saliency(photo_bgr))
        save_picture(folder / "attention" / name, saliency)


def save_picture(path: Path, picture_rgb: np.ndarray) -> None:
    """Write a picture atomically, with its pixels and nothing else.

    Args:
        path: Its suffix, .jpg or .png, decides the format.
        picture_rgb: (H, W, 3) uint8.
    """
    with atomic_write(path) as temporary:
        # subsampling=0: the chroma of thin lines is not blurred. PNG ignores both.
        Image.fromarray(picture_rgb).save(temporary, quality=JPEG_QUALITY, subsampling=0)
