"""Generated photos on disk, in ACNE04's own layout, so that all that follows is the real pipeline.

Classification/JPEGImages/levle{grade}_{index}.jpg   the photos ("levle" is the data set's spelling)
Classification/NNEW_{trainval,test}_{fold}.txt       lines of name, grade and count
Detection/VOC2007/Annotations/levle*.xml             boxes named `fore`, 1-based as in VOC
Detection/VOC2007/ImageSets/Main/NNEW_*.txt          the same folds, names without suffix
toy.json                                             the options that made the photos
"""

import dataclasses
import functools
import json
import logging
import shutil
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.prepared_set import NUM_FOLDS, TOY_TESTS, PreparedLayout
from acnet.data.readers.acne04 import Acne04Source, open_acne04
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.errors import UserError
from acnet.evaluation.counting import hayashi_grade
from acnet.files import map_photos, remove_stale, write_json, write_text
from acnet.photos.decode import write_jpeg

logger = logging.getLogger(__name__)

JPEG_QUALITY = 92
MARKER = "toy.json"
FORMAT_VERSION = 1  # rises when the same options give other pixels
OBJECT_XML = """\t<object>
\t\t<name>fore</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{}</xmin>
\t\t\t<ymin>{}</ymin>
\t\t\t<xmax>{}</xmax>
\t\t\t<ymax>{}</ymax>
\t\t</bndbox>
\t</object>
"""
PHOTO_XML = """<annotation>
\t<folder>JPEGImages</folder>
\t<filename>{name}.jpg</filename>
\t<size>
\t\t<width>{width}</width>
\t\t<height>{height}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{objects}</annotation>
"""


@dataclass(frozen=True)
class WrittenPhoto:
    """What the lists say about a photo: its name without suffix, and the number of its lesions."""

    name: str
    count: int


def write_toy_set(
    dst: Path, options: ToyOptions, *, photos: int, workers: int, overwrite: bool = False
) -> list[WrittenPhoto]:
    """Write at least 5 photos, their boxes and five folds of 80/20 %, and return the photos.

    A set that is complete already is left as it is, and the list is empty; one that was
    interrupted, or that is to grow, is finished. Photo i is in the test list of fold i mod 5.
    """
    if photos < NUM_FOLDS:
        raise UserError(
            f"A toy set needs at least {NUM_FOLDS} photos, one for each fold's test list. "
            f"Received {photos}. Ask for {NUM_FOLDS} or more."
        )
    wanted = _marker(options, photos)
    found = _read_marker(dst)
    if found == {**wanted, "complete": True}:
        logger.info("%s is complete already", dst)
        return []
    if not _continues(found, wanted):
        _clear(dst, found, overwrite)
    _write_marker(dst, wanted, complete=False)
    draw = functools.partial(_write_photo, dst, options)
    written = list(map_photos(draw, range(photos), workers=workers, description="drawing"))
    _write_lists(dst, written)
    for folder in filter(Path.is_dir, (dst, *dst.rglob("*"))):
        remove_stale(folder)  # what a killed run left
    _write_marker(dst, wanted, complete=True)
    return written


def _marker(options: ToyOptions, photos: int) -> dict:
    made_with = json.loads(json.dumps(dataclasses.asdict(options)))  # tuples become lists
    if not options.paired:
        del made_with["paired"]  # sets that are older than this option stay complete
    return {"format": FORMAT_VERSION, "photos": photos, "options": made_with}


def _write_marker(dst: Path, marker: dict, *, complete: bool) -> None:
    write_json(dst / MARKER, {**marker, "complete": complete}, indent=2)


def _read_marker(dst: Path) -> dict | None:
    path = dst / MARKER
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        marker = json.loads(text)
    except ValueError:
        marker = None
    if not isinstance(marker, dict):
        raise UserError(
            f"{path} says which options made the toy set, and must be a JSON object. "
            f"Received {text[:60]!r}. Choose another folder."
        )
    return marker


def _continues(found: dict | None, wanted: dict) -> bool:
    if found is None or any(found.get(key) != wanted[key] for key in ("format", "options")):
        return False
    return found.get("photos", 0) <= wanted["photos"]


def _clear(dst: Path, found: dict | None, overwrite: bool) -> None:
    if dst.exists() and not dst.is_dir():
        raise UserError(f"A toy set is a folder. Received the file {dst}. Choose another folder.")
    if not dst.exists() or not any(dst.iterdir()):
        return
    if found is None:
        raise UserError(
            "A toy set is written to an empty folder, so that no other files are lost or mixed. "
            f"Received {dst}, which holds files that are no toy set. Choose another folder."
        )
    if not overwrite:
        raise UserError(
            f"A toy set is never mixed with photos that other options made. Received {dst}, made "
            f"with {json.dumps(found)}. Choose another folder, or replace it with --overwrite."
        )
    _write_marker(dst, found, complete=False)  # a kill from here on is noticed
    for part in ("Classification", "Detection"):
        if (dst / part).exists():
            shutil.rmtree(dst / part)


def _write_photo(dst: Path, options: ToyOptions, index: int) -> WrittenPhoto:
    photo = draw_photo(options, index)
    count = len(photo.boxes_xyxy)
    name = f"levle{hayashi_grade(count)}_{index}"
    jpeg = dst / "Classification" / "JPEGImages" / f"{name}.jpg"
    write_jpeg(jpeg, photo.image_bgr, JPEG_QUALITY)
    xml = dst / "Detection" / "VOC2007" / "Annotations" / f"{name}.xml"
    write_text(xml, _annotation_xml(name, photo.image_bgr.shape[:2], photo.boxes_xyxy))
    return WrittenPhoto(name, count)


def _annotation_xml(name: str, image_hw: tuple[int, int], boxes_xyxy: np.ndarray) -> str:
    # VOC counts pixels from 1 and includes the last one, so only the start moves.
    voc_boxes = boxes_xyxy.astype(int) + np.array([1, 1, 0, 0])
    objects = "".join(OBJECT_XML.format(*box) for box in voc_boxes)
    return PHOTO_XML.format(name=name, width=image_hw[1], height=image_hw[0], objects=objects)


def _write_lists(dst: Path, written: list[WrittenPhoto]) -> None:
    main = dst / "Detection" / "VOC2007" / "ImageSets" / "Main"
    for fold in range(NUM_FOLDS):
        parts = {"trainval": [], "test": []}
        for index, photo in enumerate(written):
            parts["test" if index % NUM_FOLDS == fold else "trainval"].append(photo)
        for split, members in parts.items():
            lines = [f"{p.name}.jpg  {hayashi_grade(p.count)}  {p.count}\n" for p in members]
            write_text(dst / "Classification" / f"NNEW_{split}_{fold}.txt", "".join(lines))
            write_text(main / f"NNEW_{split}_{fold}.txt", "".join(f"{p.name}\n" for p in members))


# What makes each set hard; the mixed one has the knobs of the photos that are trained on.
# NOT IN PAPER: it names the three difficulties and measures none of them apart.
HARDER: Mapping[str, Mapping[str, float]] = types.MappingProxyType(
    {
        "mixed": {},
        "colour": {"colour_shift": 3.0},  # casts and drifts three times as strong
        "scale": {"scale_spread": 1.4},  # 3.6 to 134 px rather than 6 to 80: 29 % outside
        "density": {"density": 3.0},  # 21 lesions a photo at the median, rather than 7
    }
)
SEED = 7


@dataclass(frozen=True, kw_only=True)
class ToyTests:
    """Which photos each of the four sets holds.

    Photos for training are drawn from one stream of random numbers and these from five
    (`ToyOptions.paired`), so no seed gives a photo of both.
    """

    seed: int = SEED
    photos: int = 100
    size_px: int = 320

    def options(self, name: str) -> ToyOptions:
        """Return what decides the pixels of one set."""
        mixed = ToyOptions(seed=self.seed, sizes_px=(self.size_px,), paired=True)
        return dataclasses.replace(mixed, **HARDER[name])


def write_toy_tests(
    layout: PreparedLayout,
    tests: ToyTests,
    *,
    workers: int,
    overwrite: bool = False,
    command: str = "",
) -> ImportedSet:
    """Draw the photos beside the prepared set, in ACNE04's layout, and import them as its splits.

    What is complete already is left as it is. The photos go to `photos_folder(layout)`.
    """
    photos = photos_folder(layout)
    settings = {"photos": tests.photos, "workers": workers, "overwrite": overwrite}
    for name in TOY_TESTS:
        write_toy_set(photos / name, tests.options(name), **settings)
    return import_set(_joined(photos), layout, ImportOptions(workers=workers, command=command))


def _joined(root: Path) -> Acne04Source:
    """Take all photos of each set below a folder as one split that is called as the set."""
    splits, annotation_of, inputs = {}, {}, []
    for name in TOY_TESTS:
        part = open_acne04(root / name)
        photos = part.image_root.relative_to(root)
        boxes = part.annotation_root.relative_to(root)
        pairs = {str(photos / key): str(boxes / xml) for key, xml in part.annotation_of.items()}
        splits[name] = tuple(sorted(pairs))
        annotation_of.update(pairs)
        inputs += part.inputs
    return Acne04Source(
        image_root=root,
        splits=splits,
        inputs=inputs,
        annotation_root=root,
        annotation_of=annotation_of,
    )


def photos_folder(layout: PreparedLayout) -> Path:
    """Return the folder of the drawn photos, beside the prepared set's."""
    return layout.folder.with_name(f"{layout.prefix}_photos")
