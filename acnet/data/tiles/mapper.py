"""Tiles for the model: read where they were written, cut from their photo if they are virtual."""

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T
from detectron2.data.detection_utils import check_image_size, convert_PIL_to_numpy
from PIL import Image

from acnet.data.images import UnreadableFileError, open_image, upright

# The key of a virtual tile's record that says where its photo is; its `file_name` does not exist.
PHOTO_KEY = "photo_path"
KEPT_PHOTOS = 1  # decoded, in each process


class TileMapper(DatasetMapper):
    """detectron2's ``DatasetMapper``, which also takes virtual tiles of `acnet data tile`.

    A virtual tile gives the tensors of the PNG tile that it stands for. Other records are mapped as
    by ``DatasetMapper``, whose arguments it takes.

    Each worker keeps the last photo decoded, since evaluation asks for its tiles in a row. Training
    asks for tiles in random order: one in 1,165 is of the photo before it, so that keeping more of
    them (43 MB each at 3112x3456) would cost memory and save nothing.
    """

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Maps a record.

        Args:
            dataset_dict: detectron2's, of a tile or of any other picture.

        Returns:
            A model's input, as ``DatasetMapper`` gives it.

        Raises:
            UnreadableFileError: the photo of a virtual tile does not decode whole.
        """
        if PHOTO_KEY not in dataset_dict:
            return super().__call__(dataset_dict)
        dataset_dict = copy.deepcopy(dataset_dict)
        image = self._read_window(dataset_dict)
        check_image_size(dataset_dict, image)
        # From here on as in DatasetMapper, for boxes.
        aug_input = T.AugInput(image)
        transforms = self.augmentations(aug_input)
        image_chw = np.ascontiguousarray(aug_input.image.transpose(2, 0, 1))
        dataset_dict["image"] = torch.as_tensor(image_chw)
        if not self.is_train:
            dataset_dict.pop("annotations", None)
        elif "annotations" in dataset_dict:
            self._transform_annotations(dataset_dict, transforms, aug_input.image.shape[:2])
        return dataset_dict

    def _read_window(self, record: dict[str, Any]) -> np.ndarray:
        path = record[PHOTO_KEY]
        photo = _decoded_photo(path, Path(path).stat().st_mtime_ns)
        left, top = record["offset_xy"]
        right, bottom = left + record["width"], top + record["height"]
        if right > photo.width or bottom > photo.height:
            raise UnreadableFileError(
                f"A tile lies inside its photo. Received {path} of {photo.width}x{photo.height} "
                f"pixels, and a tile that ends at ({right}, {bottom}). Import the data set again."
            )
        return convert_PIL_to_numpy(photo.crop((left, top, right, bottom)), self.image_format)


@functools.lru_cache(maxsize=KEPT_PHOTOS)
def _decoded_photo(path: str, mtime_ns: int) -> Image.Image:
    """Decodes a photo whole; its time is a part of the key only."""
    with open_image(path) as image:
        image.load()
        return upright(image)
