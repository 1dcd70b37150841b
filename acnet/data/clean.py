"""From a listed photo to what training takes: it is read, and some classes and boxes stay.

Each difference gets a note, and one bad file does not hide others.
"""

import collections
import logging
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from acnet.data.prepared_set import PreparedLayout, file_state
from acnet.data.readers.source import Source
from acnet.data.records import Annotated, ImageRecord, Note, pick_flags
from acnet.errors import UnreadableFileError, UserError
from acnet.photos.decode import orientation
from acnet.photos.read import SIDEWAYS, open_image

logger = logging.getLogger(__name__)

CLIPPED = "box clipped to the photo"
DEGENERATE = "box dropped: no area"
OUTSIDE = "box dropped: outside the photo"

# Shares of a photo's side are written with six digits, so edges miss by some thousandths of a
# pixel; what is thinner or farther out than this by a hundredth was meant so.
ROUNDING_PX = 0.01
SHOWN_BOXES = 20  # of one kind and photo; the rest is counted in one note


def clean_boxes(
    boxes_xyxy: np.ndarray, image_hw: tuple[int, int], file_name: str
) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Clip (N, 4) boxes to their picture, and drop those that are left without an area.

    NaN and infinity may occur. Returns (K, 4) boxes, the (K,) indices of their originals, rising,
    and notes on the changed and dropped boxes: one each for the first of a kind, and one for the
    others together.
    """
    height, width = image_hw
    faults = faulty_boxes(boxes_xyxy, image_hw)
    kept = ~np.any([faults[kind] for kind in UNUSABLE], axis=0)
    outside = faults["box outside"]
    places = {DEGENERATE: ~kept & ~outside, OUTSIDE: outside, CLIPPED: faults["box partly outside"]}
    found: list[tuple[int, Note]] = []
    for kind, is_kind in places.items():
        indices = np.flatnonzero(is_kind).tolist()
        for index in indices[:SHOWN_BOXES]:
            detail = f"xyxy {boxes_xyxy[index].tolist()} in {width}x{height}"
            found.append((index, Note(kind, file_name, detail)))
        if others := len(indices[SHOWN_BOXES:]):
            detail = f"{others} more boxes in {width}x{height}"
            found.append((len(boxes_xyxy), Note(kind, file_name, detail, others)))
    found.sort(key=operator.itemgetter(0))
    clipped = np.clip(boxes_xyxy[kept], 0.0, [width, height, width, height])
    return clipped, np.flatnonzero(kept), [note for _, note in found]


UNUSABLE = ("box not a number", "box inverted", "box without area", "box outside")


def faulty_boxes(boxes_xyxy: np.ndarray, image_hw: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return (N,) bool by the audit's kind of fault; no box is in two of them."""
    finite = np.isfinite(boxes_xyxy).all(axis=1)
    boxes = np.where(finite[:, None], boxes_xyxy, 0.0)
    height, width = image_hw
    with np.errstate(over="ignore"):  # corners of 1e308 lie far outside, and are found to
        sides = boxes[:, 2:] - boxes[:, :2]
    inverted = finite & (sides < 0).any(axis=1)
    empty = finite & ~inverted & (sides <= ROUNDING_PX).any(axis=1)
    proper = finite & ~inverted & ~empty
    clipped = np.clip(boxes, 0.0, [width, height, width, height])
    outside = proper & (clipped[:, 2:] - clipped[:, :2] <= ROUNDING_PX).any(axis=1)
    leaving = (np.abs(boxes - clipped) > ROUNDING_PX).any(axis=1)
    return {
        "box not a number": ~finite,
        "box inverted": inverted,
        "box without area": empty,
        "box outside": outside,
        "box partly outside": proper & ~outside & leaving,
    }


# ACNE04 calls its one class "fore", for foreground; its stray other names are left out.
DEFAULT_MAPS: Mapping[str, Mapping[str, str]] = {"acne04": {"fore": "acne"}}


@dataclass(frozen=True)
class ClassMap:
    """The classes of a prepared set."""

    class_names: tuple[str, ...]  # in the order of their indices
    # The class index by name as it is annotated; other names are left out.
    index_of: Mapping[str, int]
    is_chosen: bool = False  # somebody decided to leave the other names out, so they are not lost


def choose_classes(
    declared: Iterable[str],
    found: Iterable[str],
    *,
    format_name: str,
    wanted: Mapping[str, str] | None = None,
    one_class: str | None = None,
) -> ClassMap:
    """Decide the classes of a data set.

    They are in the order of `wanted`, which gives the class by name as annotated, else as declared,
    else sorted by name; objects of other names are left out. `one_class` takes every name.
    """
    declared, found = list(dict.fromkeys(declared)), sorted(set(found))
    if one_class is not None:
        return ClassMap((one_class,), dict.fromkeys([*declared, *found], 0))
    found = [name for name in found if name]  # objects may lack a name
    is_chosen = wanted is not None or format_name in DEFAULT_MAPS
    if wanted is None:
        wanted = DEFAULT_MAPS.get(format_name, {name: name for name in declared or found})
    else:
        _check_names(wanted, {*declared, *found})
    class_names = tuple(dict.fromkeys(wanted.values()))
    if not class_names:
        raise UserError(
            "A data set has at least one class. Received one without objects or names of classes. "
            "Name the class by --one-class acne."
        )
    index_of = {name: class_names.index(to) for name, to in wanted.items()}
    return ClassMap(class_names, index_of, is_chosen)


def _check_names(wanted: Mapping[str, str], known: Iterable[str]) -> None:
    missing = sorted(set(wanted) - set(known))
    if missing:
        raise UserError(
            "A class map takes names that the annotations have. Received "
            f"{', '.join(map(repr, missing))}; there are {', '.join(map(repr, sorted(known)))}. "
            "Correct --class-map."
        )


MOST_LOST = "photo dropped: most of its objects cannot be used"
OTHER_SIZE = "photo of another size than its annotation states"
SHOWN_NAMES = 20  # of one photo; the rest is counted in one note


def clean(annotated: Annotated, classes: ClassMap) -> tuple[ImageRecord | None, list[Note]]:
    """Keep the objects of the wanted classes, inside their picture, with notes on all others.

    The record is None where most of the objects cannot be used, or none: it has lesions that nobody
    can place, and would teach that they are skin.
    """
    file_name, image_hw = annotated.file_name, annotated.image_hw
    wanted, name_notes = _wanted(annotated.names, classes, file_name)
    boxes, kept, box_notes = clean_boxes(annotated.boxes_xyxy[wanted], image_hw, file_name)
    notes = [*annotated.notes, *_size_notes(annotated), *name_notes, *box_notes]
    unnamed = 0 if classes.is_chosen else len(annotated.names) - len(wanted)
    total = annotated.lost + unnamed + len(wanted)
    lost = total - len(kept)
    if lost and (2 * lost > total or not len(kept)):
        return None, [*notes, Note(MOST_LOST, file_name, f"{lost} of {total} objects")]
    indices = wanted[kept]
    record = ImageRecord(
        file_name=file_name,
        width=image_hw[1],
        height=image_hw[0],
        boxes_xyxy=boxes,
        classes=np.array([classes.index_of[annotated.names[i]] for i in indices], dtype=np.int64),
        crowd=pick_flags(annotated.crowd, indices),
        difficult=pick_flags(annotated.difficult, indices),
    )
    return record, notes


def _wanted(
    names: Sequence[str], classes: ClassMap, file_name: str
) -> tuple[np.ndarray, list[Note]]:
    wanted = [index for index, name in enumerate(names) if name in classes.index_of]
    others = collections.Counter(name for name in names if name not in classes.index_of)
    dropped = sorted(others.items())
    notes = [
        Note(f"object dropped: name {name!r}", file_name, count=count)
        for name, count in dropped[:SHOWN_NAMES]
    ]
    rest = sum(count for _, count in dropped[SHOWN_NAMES:])
    if rest:
        notes.append(Note("object dropped: one of many other names", file_name, count=rest))
    return np.array(wanted, dtype=np.int64), notes


def _size_notes(annotated: Annotated) -> list[Note]:
    if annotated.declared_hw in (None, annotated.image_hw):
        return []
    (height, width), (stated_height, stated_width) = annotated.image_hw, annotated.declared_hw
    detail = f"{stated_width}x{stated_height} stated, {width}x{height} decoded"
    return [Note(OTHER_SIZE, annotated.file_name, detail)]


SCALED = "boxes scaled from the size that the annotation states"
TURNED = "boxes turned as the photo's EXIF orientation says"
MISPLACED = "object dropped: placed in a photo of another shape"
NEAR_PX, NEAR = 16, 0.05  # that a lossless crop or turn of a JPEG takes off, of a side
# ACNE04's boxes are right where the sizes in its files are wrong.
OF_DECODED_SIZE = ("acne04", "acne04_v2")


def read_fitted(file_name: str, source: Source) -> Annotated:
    """Read one photo's annotation, and bring boxes of another size or turn to the photo.

    Where the stated size is neither the photo's at another scale, nor the photo's before its EXIF
    orientation, nobody can place the objects: they are lost. Raises as `Source.read` does.
    """
    photo = source.read(file_name)
    stated, (height, width) = photo.declared_hw, photo.image_hw
    if stated in (None, photo.image_hw) or min(stated) <= 0 or source.format in OF_DECODED_SIZE:
        return photo
    boxes_xyxy, kind = None, MISPLACED
    if stated == (width, height):
        with open_image(source.image_root / file_name) as image:
            boxes_xyxy, kind = _turned(photo.boxes_xyxy, stated, orientation(image)), TURNED
    # Each side may be rounded by half a pixel.
    if boxes_xyxy is None and 2 * abs(stated[1] * height - stated[0] * width) <= sum(
        (*stated, height, width)
    ):
        scale = np.array([width, height]) / stated[::-1]
        boxes_xyxy, kind = photo.boxes_xyxy * np.tile(scale, 2), SCALED
    # A tool that exchanged the sides, or cut a few pixels off, may well have drawn on this picture.
    far = [abs(one - other) for one, other in zip(stated, (height, width), strict=True)]
    is_near = max(far) <= NEAR_PX and far[0] <= NEAR * height and far[1] <= NEAR * width
    inside = (photo.boxes_xyxy >= -1) & (photo.boxes_xyxy <= np.array([width, height] * 2) + 1)
    if boxes_xyxy is None and (is_near or stated == (width, height)) and inside.all():
        return photo  # and its other size is noted
    detail = f"{stated[1]}x{stated[0]} stated, {width}x{height} decoded"
    if boxes_xyxy is not None:
        notes = (*photo.notes, Note(kind, file_name, detail))
        return replace(photo, boxes_xyxy=boxes_xyxy, declared_hw=None, notes=notes)
    lost = len(photo.names)
    notes = (*photo.notes, *([Note(MISPLACED, file_name, detail, lost)] if lost else []))
    left = {"file_name": file_name, "image_hw": photo.image_hw, "declared_hw": stated}
    return Annotated(
        **left, names=(), boxes_xyxy=np.zeros((0, 4)), notes=notes, lost=photo.lost + lost
    )


def read_usable(source: Source) -> dict[str, Annotated]:
    """Read the photos of all splits, each once, by name; what cannot be read is left out and told.

    Raises:
        UserError: None can be read.
    """
    listed = dict.fromkeys(name for names in source.splits.values() for name in names)
    read = {}
    for name in listed:
        try:
            read[name] = read_fitted(name, source)
        except (UnreadableFileError, FileNotFoundError) as error:
            logger.warning("%s is left out: %s", name, error)
    if not read:
        raise UserError(
            f"Boxes need photos. Received {len(listed)} that are listed, of which none can be read "
            f"in {source.image_root}. Say where they are by --image-root."
        )
    return read


def _turned(boxes: np.ndarray, stored_hw: tuple[int, int], tag: int) -> np.ndarray | None:
    """Turn boxes of a photo that is stored sideways, None where the EXIF orientation is another."""
    if tag not in SIDEWAYS:
        return None
    x0, y0, x1, y1 = boxes.T[[1, 0, 3, 2]]
    if tag in (6, 7):
        x0, x1 = stored_hw[0] - x1, stored_hw[0] - x0
    if tag in (7, 8):
        y0, y1 = stored_hw[1] - y1, stored_hw[1] - y0
    return np.stack([x0, y0, x1, y1], axis=1)


UNREADABLE = "photo dropped: unreadable"
NOT_FOUND = "photo dropped: listed, not found"
NO_ANNOTATION = "photo dropped: no annotation"
SHOWN_ERRORS = 5
DRAFT_SCALE = 8  # JPEGs decode at this reduction in a third of the time


@dataclass(frozen=True)
class ReadPhoto:
    """What became of one listed photo; `annotated` and `state` are None where it was dropped."""

    annotated: Annotated | None
    state: list | None = None  # of the picture's file, for the manifest
    notes: tuple[Note, ...] = ()  # why it was dropped


def read_photo(file_name: str, *, source: Source) -> ReadPhoto:
    """Read one photo and its annotation, and see whether the photo decodes whole."""
    path = source.image_root / file_name
    try:
        annotated = read_fitted(file_name, source)
        _check_decodes(path)
        return ReadPhoto(annotated, file_state(path))
    except UnreadableFileError as error:
        note = Note(UNREADABLE, file_name, str(error))
    except FileNotFoundError as error:
        note = Note(NO_ANNOTATION if path.is_file() else NOT_FOUND, file_name, str(error))
    return ReadPhoto(None, notes=(note,))


def check_readable(read: Sequence[ReadPhoto], layout: PreparedLayout) -> None:
    """Stop an import of photos or annotations that cannot be read; the first few are named."""
    notes = (note for result in read for note in result.notes)
    errors = [note.detail for note in notes if note.kind == UNREADABLE]
    if errors:
        shown = "\n  ".join(errors[:SHOWN_ERRORS])
        raise UserError(
            "Every listed photo and annotation must be readable, or results could not be compared "
            f"with others'. Received {len(errors)} that are not, all listed in {layout.dropped}:\n"
            f"  {shown}\nReplace them, or leave them out by --skip-unreadable."
        )


def _check_decodes(path: Path) -> None:
    with open_image(path) as image:
        image.draft(None, (max(1, image.width // DRAFT_SCALE), max(1, image.height // DRAFT_SCALE)))
        image.load()


def check_unit(photos: Sequence[Annotated], source: Source) -> None:
    """Boxes in shares of the photo's sides are all smaller than a pixel."""
    boxes = np.concatenate([np.zeros((0, 4)), *(photo.boxes_xyxy for photo in photos)])
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    with np.errstate(over="ignore", invalid="ignore"):
        sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    tiny = (sides > 0) & (sides < 1.0)
    if 2 * tiny.sum() > len(boxes):
        example = boxes[tiny.argmax()].tolist()
        raise UserError(
            f"Boxes of the format {source.format} become pixels, and a lesion has at least one. "
            f"Received {tiny.sum()} of {len(boxes)} boxes below a pixel, such as xyxy {example}. "
            "Export the annotations in the unit of their format: COCO and VOC have pixels, YOLO "
            "shares of width and height."
        )
