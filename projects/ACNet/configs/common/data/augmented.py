"""Augmentations for small sets of photos. NOT IN PAPER, which flips and does nothing else."""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T


def crops(*, photo_px, crop_px, min_scale, max_scale):
    """Square crops of a photo at a random scale, mirrored or not, in another light."""
    return [
        L(T.ResizeScale)(
            min_scale=min_scale, max_scale=max_scale, target_height=photo_px, target_width=photo_px
        ),
        L(T.RandomCrop)(crop_type="absolute", crop_size=[crop_px, crop_px]),
        L(T.RandomFlip)(horizontal=True),
        L(T.RandomBrightness)(intensity_min=0.75, intensity_max=1.25),
        L(T.RandomContrast)(intensity_min=0.75, intensity_max=1.25),
        L(T.RandomSaturation)(intensity_min=0.6, intensity_max=1.4),
    ]
