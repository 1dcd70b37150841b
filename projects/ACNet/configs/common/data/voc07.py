"""PASCAL VOC 2007 at 1000x600, trained on 2007 + 2012 trainval (IV-B)."""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T

from .coco_tiles import dataloader

_resize = L(T.ResizeShortestEdge)(short_edge_length=600, max_size=1000)

dataloader.train.dataset.names = ["voc_2007_trainval", "voc_2012_trainval"]
dataloader.train.mapper.augmentations = [_resize, L(T.RandomFlip)(horizontal=True)]
dataloader.test.dataset.names = "voc_2007_test"
dataloader.test.mapper.augmentations = [_resize]
# Its digits are what VOC results are compared with: it rounds boxes and scores before it matches.
dataloader.evaluator.kind = "detectron2"
