"""Tiles for the model: read where they were written, cut from their photo if they are virtual."""

import contextlib
import copy
import functools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T
from detectron2.data.detection_utils import convert_PIL_to_numpy
from PIL import Image

from acnet.errors import UnreadableFileError
from acnet.photos.read import holds_deep_grey, read_bgr

# The key of a virtual tile's record that says where its photo is; its `file_name` does not exist.
PHOTO_KEY = "photo_path"


class TileMapper(DatasetMapper):
    """detectron2's ``DatasetMapper``, which also takes virtual tiles of `acnet data tile`.

    A virtual tile gives the tensors of the PNG tile that it stands for. Grey of more than 8 bits is
    scaled to them, as in prediction; detectron2 would make it white.

    Each worker keeps the last photo decoded, since evaluation asks for its tiles in a row. Training
    asks for tiles in random order: one in 1,165 is of the photo before it, so that keeping more of
    them (32 MB each at 3112x3456) would cost memory and save nothing.
    """

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Map a record of a tile or of any other picture to a model's input."""
        if PHOTO_KEY not in dataset_dict and not _is_deep_grey(dataset_dict["file_name"]):
            try:
                return super().__call__(dataset_dict)
            except (OSError, EOFError, SyntaxError, ValueError, struct.error) as error:
                raise UnreadableFileError(
                    "A picture must decode whole and have the size that its annotations say. "
                    f"Received {dataset_dict['file_name']} ({' '.join(f'{error}'.split())}). "
                    "Replace it by an intact copy, or leave it out of the data set."
                ) from error
        dataset_dict = copy.deepcopy(dataset_dict)
        image = self._read_window(dataset_dict)
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
        is_tile = PHOTO_KEY in record
        path = record[PHOTO_KEY if is_tile else "file_name"]
        photo_bgr = _decoded_photo(path, Path(path).stat().st_mtime_ns)
        left, top = record["offset_xy"] if is_tile else (0, 0)
        right, bottom = left + record["width"], top + record["height"]
        window_bgr = photo_bgr[top:bottom, left:right]
        if window_bgr.shape[:2] != (bottom - top, right - left):
            height, width = photo_bgr.shape[:2]
            raise UnreadableFileError(
                f"A tile lies inside its photo. Received {path} of {width}x{height} pixels, and "
                f"a tile that ends at ({right}, {bottom}). Import the data set again."
            )
        if self.image_format == "BGR":
            return window_bgr.copy()  # augmentations may write to it
        return convert_PIL_to_numpy(Image.fromarray(window_bgr[..., ::-1]), self.image_format)


def _is_deep_grey(path: str) -> bool:
    """Tell whether detectron2 would take a picture for white."""
    with contextlib.suppress(OSError, UnreadableFileError):
        return holds_deep_grey(path)
    return False  # so that detectron2 tells what is wrong


@functools.lru_cache(maxsize=1)  # in each process
def _decoded_photo(path: str, mtime_ns: int) -> np.ndarray:
    """Decode a photo whole; its time is a part of the key only."""
    return read_bgr(path)
