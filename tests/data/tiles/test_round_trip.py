"""ACNE04's layout to COCO, to tiles, and back to the pixels of the photos."""

import json

import numpy as np
import pytest

from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import FOLD_SPLITS, PreparedLayout
from acnet.data.readers.acne04 import open_acne04
from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from acnet.data.toy.toy_photo import ToyOptions
from acnet.data.toy.toy_set import write_toy_set

MIN_SHARE = 0.5


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory):
    """A toy set of wide and tall photos with lesions up to beyond the overlap, in tiles."""
    root = tmp_path_factory.mktemp("round_trip")
    toy = ToyOptions(seed=7, sizes_px=((150, 100), (90, 170), 60), lesion_px=(6.0, 60.0))
    write_toy_set(root / "photos", toy, photos=15, workers=1)
    source = open_acne04(root / "photos")
    layout = PreparedLayout(root, "toy")
    tiles = TileOptions(tile_px=64, overlap_px=32, min_share=MIN_SHARE, train_splits=())
    import_set(source, layout, ImportOptions())
    tile_set(layout, tiles)
    return source, layout


def test_each_kept_box_comes_back_to_the_pixel(round_trip):
    source, layout = round_trip
    whole = cut = 0
    for split in FOLD_SPLITS:
        content = json.loads(layout.annotations(split, tiles=True).read_text())
        images = {image["id"]: image for image in content["images"]}
        found = {image_id: [] for image_id in images}
        for annotation in content["annotations"]:
            x, y, width, height = annotation["bbox"]
            left, top = images[annotation["image_id"]]["offset_xy"]
            found[annotation["image_id"]].append(
                (left + x, top + y, left + x + width, top + y + height)
            )
        assert {image["photo_file_name"] for image in images.values()} == set(source.splits[split])
        for image_id, image in images.items():
            boxes = source.read(image["photo_file_name"]).boxes_xyxy
            left, top = image["offset_xy"]
            window = np.array([left, top, left + image["width"], top + image["height"]])
            expected = []
            for box in boxes:
                inside = np.array([*np.maximum(box, window)[:2], *np.minimum(box, window)[2:]])
                sides = np.maximum(inside[2:] - inside[:2], 0)
                if sides.prod() >= MIN_SHARE * (box[2:] - box[:2]).prod():
                    expected.append(tuple(inside.tolist()))
                    whole += bool((inside == box).all())
                    cut += bool((inside != box).any())
            assert sorted(found[image_id]) == sorted(expected)
    assert whole > 100
    assert cut > 50
