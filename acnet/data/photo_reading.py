"""Reading every photo of a source with its annotation; one bad file does not hide others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acnet.data.prepared_set import FileState, PreparedLayout, file_state
from acnet.data.readers.source import Source
from acnet.data.records import Annotated, Note
from acnet.errors import UnreadableFileError, UserError
from acnet.photos.read import open_image

UNREADABLE = "photo dropped: unreadable"
NOT_FOUND = "photo dropped: listed, not found"
NO_ANNOTATION = "photo dropped: no annotation"
SHOWN_ERRORS = 5
DRAFT_SCALE = 8  # JPEGs decode at this reduction in a third of the time


@dataclass(frozen=True)
class ReadPhoto:
    """What became of one listed photo.

    Args:
        annotated: None where it was dropped.
        state: of the photo's file, None where it was dropped.
        notes: why it was dropped.
        error: why it could not be read, empty where it could.
    """

    annotated: Annotated | None
    state: FileState | None = None
    notes: tuple[Note, ...] = ()
    error: str = ""


def read_photo(file_name: str, *, source: Source) -> ReadPhoto:
    """Read one photo and its annotation, and look whether the photo decodes whole.

    Returns:
        What became of it; corrupt files are reported there, so that one does not hide the others.
    """
    path = source.image_root / file_name
    try:
        annotated = source.read(file_name)
        _check_decodes(path)
        return ReadPhoto(annotated, file_state(path))
    except UnreadableFileError as error:
        note = Note(UNREADABLE, file_name, str(error))
        return ReadPhoto(None, notes=(note,), error=str(error))
    except FileNotFoundError as error:
        kind = NO_ANNOTATION if path.is_file() else NOT_FOUND
        return ReadPhoto(None, notes=(Note(kind, file_name, str(error)),))


def check_readable(read: Sequence[ReadPhoto], layout: PreparedLayout) -> None:
    """Stop an import of photos or annotations that cannot be read.

    Raises:
        UserError: there are some; the first few are named.
    """
    errors = [result.error for result in read if result.error]
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


def check_unit(read: Sequence[ReadPhoto], source: Source) -> None:
    """Boxes in shares of the photo's sides are all smaller than a pixel."""
    photos = [result.annotated for result in read if result.annotated is not None]
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
