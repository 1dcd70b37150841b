"""Reading ACNE04-v2: circles around lesions, for photos of ACNE04.

`Acne04-v2_annotations.json` (github.com/AIpourlapeau/acne04v2) has COCO's form. An image has
`id`, `file_name`, `height`, `width`; an annotation has `id`, `image_id`, `coordinates` [x, y] of
the centre in pixels, `radius` and `class_name`; ids count from 0, and there are no categories.
The photos are ACNE04's. Where ACNE04's lists are there too, its folds become the splits.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acnet.data.readers.acne04 import lists_below, read_folds
from acnet.data.readers.coco import CocoSource, box_of, build_source, find_files, mentions
from acnet.data.readers.coco_table import number
from acnet.data.readers.splits import ONE_SPLIT
from acnet.errors import UserError

ACNE_NAME = "acne"
CENTRE_KEYS = ("coordinates", "center", "centre")
RADIUS_KEYS = ("radius", "r")
PHOTO_FOLDERS = ("Classification/JPEGImages", "JPEGImages", "VOCdevkit/VOC2007/JPEGImages")


def is_acne04_v2(src: Path) -> bool:
    """Returns whether a path is, or a folder holds, JSON with circles in COCO's form.

    Args:
        src: any path.
    """
    return any(_is_circles(path) for path in find_files(src))


def open_acne04_v2(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> CocoSource:
    """Finds the circles and the photos.

    Args:
        src: the JSON file, or the folder that it and perhaps ACNE04 are in.
        image_root: ACNE04's photos, where they are not below that folder.
        annotation_root: folder of the JSON file, likewise.

    Returns:
        One split "all", or ACNE04's folds where its lists are below the folder.

    Raises:
        UserError: there is no such file, or there are several.
    """
    files = [path for path in find_files(annotation_root or src) if _is_circles(path)]
    if len(files) != 1:
        raise UserError(
            "ACNE04-v2 is one JSON file with the circles of all photos. Received "
            f"{len(files)} such files in {annotation_root or src}. Give the file itself."
        )
    folder = src if src.is_dir() else src.parent
    folders = [folder / place for place in PHOTO_FOLDERS if (folder / place).is_dir()]
    root = image_root or (folders[0] if folders else folder)
    source = build_source(files, root, box_of_circle, format_name="acne04_v2")
    members = {name for names in source.splits.values() for name in names}
    lists = lists_below(folder)
    folds, _ = read_folds(lists, sorted(members))
    splits = {
        split: tuple(name for name in names if name in members) for split, names in folds.items()
    }
    return dataclasses.replace(
        source,
        splits=splits or {ONE_SPLIT: tuple(sorted(members))},
        inputs=[*source.inputs, *lists.values()],
        class_names=(ACNE_NAME,),
    )


def box_of_circle(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Returns the box around a circle.

    Args:
        entry: an annotation; `center` and `r` are taken as well, and COCO's `bbox` where it has
            no circle.

    Returns:
        x0, y0, x1, y1, NaN where there is neither.
    """
    centre = next((entry[key] for key in CENTRE_KEYS if key in entry), None)
    if not isinstance(centre, (list, tuple)) or len(centre) != 2:
        return box_of(entry)
    x, y = map(number, centre)
    radius = next((number(entry[key]) for key in RADIUS_KEYS if key in entry), math.nan)
    return (x - radius, y - radius, x + radius, y + radius)


def _is_circles(path: Path) -> bool:
    return all(mentions(path, word) for word in ('"images"', '"annotations"', '"radius"'))
