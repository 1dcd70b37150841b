"""COCO files as columns: ground truth at once, predictions as a stream of rows."""

import os

from acnet.evaluation.columns import Detections, GroundTruth


def read_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Read a COCO file of annotations.

    Args:
        path: JSON with `images`, `annotations` and `categories`.

    Returns:
        Its columns; photos by rising id, boxes by photo and then as in the file. A missing `area`
        is width times height, a missing `iscrowd` or `difficult` is 0.

    Raises:
        UserError: It cannot be read, an id is 0 or repeated or refers to nothing, or a box is not
            four finite numbers with sizes of at least 0.
    """
    raise NotImplementedError


def read_predictions(path: str | os.PathLike, ground_truth: GroundTruth) -> Detections:
    """Read a COCO file of results, row by row.

    Args:
        path: JSON, a list of rows with `image_id`, `category_id`, `bbox` (x, y, width, height) and
            `score`.
        ground_truth: What the ids refer to.

    Returns:
        The detections. Beside them, only a small part of the file is in memory at any time.

    Raises:
        UserError: It cannot be read, or a row is not as above; the message names file and row.
    """
    raise NotImplementedError
