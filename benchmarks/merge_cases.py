"""Generated photos, and what a model's tiles find in them, for benchmarks/merge_study.py."""

import argparse
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from acnet.data.parallel import default_workers, map_photos
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.files import atomic_write
from acnet.inference import MergeOptions, Predictor, TilingOptions
from acnet.inference.tiling import in_photo, tile_batches
from acnet.tiling.detections import TileDetections
from acnet.tiling.merge import merge_tiles
from acnet.tiling.own_parts import centred_in, own_parts
from benchmarks.toy_truth import LESION_PX


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way of merging.

    Args:
        name: in the table.
        options: of merging.
        slack_px: of the tiles' own parts; None for whole tiles.
    """

    name: str
    options: MergeOptions
    slack_px: float | None = None


@dataclasses.dataclass(frozen=True)
class Case:
    """A photo and what the tiles found in it.

    Args:
        boxes_xyxy: (G, 4), its lesions.
        image_hw: its height and width.
        tiles_xyxy: (T, 4).
        found: of all tiles.
    """

    boxes_xyxy: np.ndarray
    image_hw: tuple[int, int]
    tiles_xyxy: np.ndarray
    found: TileDetections

    def merged(self, variant: Variant) -> tuple[np.ndarray, np.ndarray]:
        """Returns boxes and scores of the photo.

        Args:
            variant: the way of merging.
        """
        found = self.found
        if variant.slack_px is not None:
            # The predictor does so with proposals, where it saves time.
            parts = own_parts(self.tiles_xyxy, variant.slack_px)
            found = found.take(centred_in(found.boxes_xyxy, parts[found.tiles]))
        merged = merge_tiles(found, self.tiles_xyxy, self.image_hw, variant.options)
        return merged.boxes_xyxy, merged.scores


def draw_to_file(toy: ToyOptions, folder: Path, index: int) -> Path:
    """Draws a photo, unless its file is there.

    Args:
        toy: what it looks like.
        folder: of the files.
        index: of the photo.

    Returns:
        Its file, with the fields of `ToyPhoto`.
    """
    path = folder / f"{index}.npz"
    if not path.is_file():
        photo = draw_photo(toy, index)
        with atomic_write(path) as temporary:
            np.savez(temporary, image_bgr=photo.image_bgr, boxes_xyxy=photo.boxes_xyxy)
    return path


def load_cases(args: argparse.Namespace) -> list[Case]:
    """Draws photos and runs the model over their tiles, unless that was done.

    Args:
        args: the parsed command line.
    """
    toy = ToyOptions(
        seed=args.seed, sizes_px=(args.side,), lesion_px=LESION_PX, density=args.density
    )
    name = f"{args.side}_{args.density:g}_{args.seed}"
    draw = functools.partial(draw_to_file, toy, args.work / name)
    indices = range(args.fit_photos + args.photos)
    paths = map_photos(draw, indices, workers=default_workers(), description="drawing")
    tiling = TilingOptions(tile_px=args.tile, overlap_px=args.overlap)
    tiles = tiling.tiles((args.side, args.side))
    detect = Detector(args, tiling)
    cases = []
    for path in tqdm(paths, desc="detecting", unit="photo"):
        with np.load(path) as photo:
            found = detect(photo, path.parent / f"{args.tile}_{args.overlap}" / path.name, tiles)
            cases.append(Case(photo["boxes_xyxy"], (args.side, args.side), tiles, found))
    return cases


class Detector:
    """The model over the tiles of photos, with its answers kept in files.

    Args:
        args: the parsed command line.
        tiling: where photos are cut.
    """

    def __init__(self, args: argparse.Namespace, tiling: TilingOptions) -> None:
        self._args = args
        self._tiling = tiling

    @functools.cached_property
    def _predictor(self) -> Predictor:
        config = self._args.config or self._args.weights.with_name("config.yaml")
        return Predictor(config, self._args.weights, tiling=self._tiling)

    def __call__(self, photo: Mapping, path: Path, tiles_xyxy: np.ndarray) -> TileDetections:
        """Returns what the tiles of a photo found.

        Args:
            photo: has its pixels.
            path: of the file for the answer.
            tiles_xyxy: (T, 4).
        """
        if not path.is_file():
            found = []
            for _, batch in tile_batches(photo["image_bgr"], tiles_xyxy, 1):
                found += self._predictor.detect_whole(batch)
            with atomic_write(path) as temporary:
                np.savez(temporary, **dataclasses.asdict(in_photo(found, tiles_xyxy)))
        with np.load(path) as columns:
            return TileDetections(**columns)
