"""ACNet as a stage of Ray Data (https://docs.ray.io), for photos on many machines.

import ray
from acnet.integrations.ray import FindLesions

photos = ray.data.read_binary_files("s3://photos", include_paths=True)
workers = ray.data.ActorPoolStrategy(size=8)
photos.map_batches(FindLesions, batch_size=16, compute=workers).write_parquet("boxes")
"""

import math
import os
from typing import Any

import numpy as np

from acnet.errors import UnreadableFileError, UserError
from acnet.inference.predictor import load
from acnet.photos.read import as_bgr

Batch = dict[str, np.ndarray]  # columns of equal length
# Of a box, in pixels of the upright photo; `error` says of an unreadable photo why.
NEW_COLUMNS = {
    **dict.fromkeys(("x0", "y0", "x1", "y1", "score"), np.float32),
    **dict.fromkeys(("class_name", "error"), object),
}


class FindLesions:
    """Turn a batch of photos into one row for each box, best first.

    Photos are the column "bytes", or else "path". A row has the photo's other columns, and those of
    `NEW_COLUMNS`. A photo without boxes has no row; one that cannot be read has one, of NaN.

    A worker loads the weights once and keeps nothing of a batch, so that Ray may give the batches
    of a worker that died to another one.

    Example:
        FindLesions()({"path": np.array(["photo.jpg"])})["score"]
    """

    def __init__(self, source: str | os.PathLike | None = None, **options: Any) -> None:
        """Take what `acnet.load` takes, from the `fn_constructor_kwargs` of `map_batches`."""
        self._predictor = load(source, **options)

    def __call__(self, batch: Batch) -> Batch:
        """Find the lesions of a batch.

        Raises:
            UserError: It has no column of photos.
        """
        photos = batch.get("bytes", batch.get("path"))
        if photos is None:
            raise UserError(
                'Photos come in the column "bytes" or "path". Received a batch of the columns '
                f"{', '.join(batch) or 'none'}; rename one with `rename_columns`."
            )
        found = [self._rows(photo) for photo in photos]
        counts = [len(rows) for rows in found]
        rows = [row for rows in found for row in rows]
        kept = {name: np.repeat(batch[name], counts, axis=0) for name in batch if name != "bytes"}
        values = zip(*rows, strict=True) if rows else [[]] * len(NEW_COLUMNS)
        kinds = NEW_COLUMNS.items()
        return kept | {
            name: np.array(column, kind) for (name, kind), column in zip(kinds, values, strict=True)
        }

    def _rows(self, photo: str | bytes) -> list[tuple]:
        try:
            found = self._predictor.detect(as_bgr(photo))
        except UnreadableFileError as error:
            return [(*(math.nan,) * 5, "", str(error))]
        names = (self._predictor.class_names[index] for index in found.classes)
        pairs = zip(found.boxes_xyxy, found.scores, names, strict=True)
        return [(*box, score, name, "") for box, score, name in pairs]
