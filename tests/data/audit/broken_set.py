"""A small set with every fault that the audit knows, except those of the whole set."""

from pathlib import Path

import numpy as np
from PIL import Image

from acnet.data.records import Note
from tests.data.audit.fake_source import FakeSource, annotated, save_toy_photo

SOUND = [10, 10, 30, 30]
NEAR = [10, 10, 30, 30.5]  # IoU 400 / 410
TOUCHING = [88, 50, 98, 60]
BOXES = {
    "levle0_ids.jpg": [SOUND, [40, 10, 50, 20]],
    "nan.jpg": [SOUND, [np.nan, 0, 9, 9]],
    "inverted.jpg": [SOUND, [30, 10, 10, 30]],
    "empty.jpg": [SOUND, [30, 10, 30, 30]],
    "outside.jpg": [SOUND, [100, 10, 120, 30]],
    "partly.jpg": [TOUCHING],
    "twice.jpg": [SOUND, SOUND, [40, 10, 50, 20]],
    "near.jpg": [SOUND, NEAR],
    "names.jpg": [SOUND, NEAR],
    "twin_a.jpg": [SOUND],
    "twin_b.jpg": [[40, 10, 50, 20]],
    "near_a.png": [SOUND],
    "near_b.png": [SOUND],
    "sideways.jpg": [[10, 10, 30, 40]],
    "both.jpg": [SOUND],
    "plain.jpg": [],
    "levle3_listed.jpg": [SOUND],
    "size.jpg": [SOUND],
    "cut.jpg": [SOUND],
    "notes.jpg": [SOUND],
}
FIELDS = {
    "levle0_ids.jpg": {"annotation_ids": (0, 7), "grade": 0, "count": 2},
    "twice.jpg": {"annotation_ids": (7, 8, 9)},
    "names.jpg": {"names": ("acne", "cold_sore")},
    "sideways.jpg": {"image_hw": (96, 64)},
    "levle3_listed.jpg": {"grade": 1, "count": 3},
    "size.jpg": {"declared_hw": (640, 960)},
    "notes.jpg": {"notes": (Note("line dropped", "notes.jpg", "line 3"),)},
}
TEST = ["twin_b.jpg", "near_b.png", "both.jpg"]


def write_broken_set(root: Path) -> FakeSource:
    """Writes the pictures and gives the source."""
    for index, name in enumerate(sorted(BOXES)):
        save_toy_photo(root / name, index)
    (root / "twin_b.jpg").write_bytes((root / "twin_a.jpg").read_bytes())
    with Image.open(root / "near_a.png") as image:
        image.resize((48, 32)).resize((96, 64)).save(root / "near_b.png")
    with Image.open(root / "sideways.jpg") as image:
        exif = Image.Exif()
        exif[274] = 6
        exif[271] = "a maker of cameras"
        image.save(root / "sideways.jpg", exif=exif, quality=95)
    content = (root / "cut.jpg").read_bytes()
    (root / "cut.jpg").write_bytes(content[: len(content) // 2])
    save_toy_photo(root / "spare.jpg", 98)
    save_toy_photo(root / "no_annotation.jpg", 99)
    listed = sorted([*BOXES, "no_annotation.jpg", "lost.jpg"])
    return FakeSource(
        image_root=root,
        annotations={name: annotated(name, BOXES[name], **FIELDS.get(name, {})) for name in BOXES},
        splits={"train": [n for n in listed if n not in TEST or n == "both.jpg"], "test": TEST},
        unlisted=[root / "spare.jpg"],
        notes=[Note("object dropped: no picture", "", f"5 objects of {root}/list.json", 5)],
    )
