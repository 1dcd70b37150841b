"""Reading COCO detection files: those of COCO, of Roboflow, of CVAT, our own, and results.

Pictures lie beside the file (Roboflow), in a folder that is called as the split (COCO), in
`images/`, or where a prepared set's manifest says.
"""

import dataclasses
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from acnet.data.prepared_set import TILES_SUFFIX
from acnet.data.readers.coco_json import TWICE, Box, Objects, Table, Tally, read_table
from acnet.data.readers.safe_files import list_files, member, read_json, relative_name
from acnet.data.readers.source import Source, split_names
from acnet.data.records import Annotated, Note
from acnet.errors import UnreadableFileError, UserError
from acnet.evaluation.box_forms import box_of
from acnet.file_names import PHOTO_SUFFIXES, MatchedNames, NameIndex, match_names
from acnet.files import is_ours
from acnet.photos.results import TABLE_MARKS
from acnet.photos.sources import distinct_stems

logger = logging.getLogger(__name__)

ROBOFLOW_NAME = "_annotations.coco"
COCO_PREFIX = "instances_"
MANIFEST = "manifest.json"
IMAGES, PREDICTIONS, COPIES = "images.json", "predictions.json", "photos"  # of `acnet predict`
OVERLAP_BYTES = 256
BY_END = "photo found by the end of its path"
AMBIGUOUS = "photo dropped: its name fits several files, or several names one file"
NO_COUNT = "photo left out: it is unlike the model's photos, so that no count is given"
LEAVES = "photo dropped: its name leads out of the folder"
DIFFERS = "photo annotated differently in two splits: the first counts"


@dataclass(frozen=True, kw_only=True)
class CocoSource(Source):
    """COCO files, each of which is a split, and the objects of each picture."""

    objects: Mapping[str, Objects]

    def read(self, file_name: str) -> Annotated:
        """Read one picture's size and take its objects."""
        image_hw = self.read_size(file_name)
        return Annotated(file_name=file_name, image_hw=image_hw, **vars(self.objects[file_name]))


def is_coco(src: Path) -> bool:
    """Return whether a path is, or a folder holds, JSON that begins as COCO's does."""
    return any(map(looks_like_coco, find_files(src)))


def open_coco(
    src: Path, *, image_root: Path | None = None, annotation_root: Path | None = None
) -> CocoSource:
    """Find the files of a folder, or take the one that `src` is, and find splits and pictures."""
    files = find_files(annotation_root or src)
    if not src.is_file():  # a file that somebody names is taken for COCO, others must look like it
        files = [path for path in files if looks_like_coco(path)]
    if not files:
        raise UserError(
            "COCO's annotations are JSON files with the lists `images` and `annotations`. "
            f"Received {annotation_root or src}, which holds none. Give the file itself."
        )
    folder = src if src.is_dir() else src.parent
    root = image_root or _prepared_root(folder) or folder
    return build_source(files, root, box_of, format_name="coco")


def build_source(
    files: Sequence[Path],
    root: Path,
    box: Box,
    *,
    format_name: str,
    read: Callable[[Path, Box], Table] = read_table,
) -> CocoSource:
    """Read files of COCO's form, each a split, and find their pictures anywhere below `root`."""
    pictures = list_files(root, PHOTO_SUFFIXES)
    index = NameIndex(pictures)
    paths = _split_names(files)
    tables = {split: read(path, box) for split, path in paths.items()}
    prefixes = {s: _prefix(paths[s], s, table, root, index) for s, table in tables.items()}
    found = {
        (split, written): index.find(prefixes[split] + written) or index.find(written)
        for split, table in tables.items()
        for written in table.objects
    }
    # What is left is found by the end of its path, among the pictures that nobody named.
    free = set(pictures) - set(found.values())
    by_end = match_names([written for (_, written), name in found.items() if name is None], free)
    splits, notes, class_names = {}, [], {}
    objects: dict[str, Objects] = {}
    for split, table in tables.items():
        tally, members = Tally(paths[split].name), {}
        for written, its_objects in table.objects.items():
            name = found[split, written] or by_end.found.get(written)
            if name is None:
                name = _unfound(prefixes[split], written, by_end, tally)
            elif found[split, written] is None:
                tally.add(BY_END, f"{written} is {name}")
            if name is None:
                continue
            if name in members:
                tally.add(TWICE, written)
                its_objects = _joined(members[name], its_objects)
            members[name] = its_objects
        for name, its_objects in members.items():
            if not _same(objects.setdefault(name, its_objects), its_objects):
                tally.add(DIFFERS, name)
        splits[split] = tuple(sorted(members))
        notes += [*table.notes, *tally.notes()]
        class_names.update(dict.fromkeys(table.class_names))
    return CocoSource(
        image_root=root,
        splits=splits,
        inputs=list(files),
        unlisted=[root / name for name in pictures if name not in objects],
        class_names=tuple(class_names),
        notes=notes,
        objects=objects,
        format=format_name,
    )


def find_files(src: Path) -> list[Path]:
    """Return the JSON files that may annotate a data set: the one given, or those of a folder."""
    if src.is_file():
        return [src] if src.suffix.lower() == ".json" else []
    found = [member(src, name) for name in list_files(src, [".json"]) if name.count("/") <= 2]
    found = [path for path in found if path.name != MANIFEST]
    if (src / MANIFEST).is_file():  # a prepared set's own: tiles repeat what the photos have
        found = [path for path in found if not path.stem.endswith(TILES_SUFFIX)]
    detection = [path for path in found if path.name.startswith(COCO_PREFIX)]
    return detection or found  # COCO's captions and keypoints lie beside its boxes


def looks_like_coco(path: Path) -> bool:
    """Return whether a file has the two lists of COCO's form."""
    return mentions(path, r'"images"\s*:\s*\[') and mentions(path, r'"annotations"\s*:\s*\[')


def mentions(path: Path, pattern: str) -> bool:
    """Return whether a file has a short pattern; it is searched in pieces that overlap."""
    if not path.is_file():
        return False
    sought, tail = re.compile(pattern.encode()), b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if sought.search(tail + block):
                return True
            tail = block[-OVERLAP_BYTES:]
    return False


def _split_names(files: Sequence[Path]) -> dict[str, Path]:
    """Split are called as their files, as their folders where all files are called the same."""
    stems = [path.stem.removeprefix(COCO_PREFIX) for path in files]
    if len(set(stems)) < len(stems) or ROBOFLOW_NAME in stems:
        stems = [
            path.parent.name if path.stem == ROBOFLOW_NAME else f"{path.parent.name}_{stem}"
            for path, stem in zip(files, stems, strict=True)
        ]
    return dict(zip(split_names(stems), files, strict=True))


def _prefix(path: Path, split: str, table: Table, root: Path, index: NameIndex) -> str:
    """The folder below `root` in which most of a file's pictures are; the likeliest goes first."""
    beside = path.parent.relative_to(root).as_posix() if path.parent.is_relative_to(root) else ""
    places = [beside, split, f"images/{split}", "images", "", f"{split}/images", f"{beside}/images"]
    prefixes = ["" if place in ("", ".") else f"{place}/" for place in places]
    names = [str(PurePosixPath(name.replace("\\", "/"))) for name in table.objects]

    def hits(prefix: str) -> tuple[int, int]:
        found = [prefix + name in index for name in names]
        return sum(is_hit or name in index for is_hit, name in zip(found, names, strict=True)), sum(
            found
        )

    return max(dict.fromkeys(prefixes), key=hits)


def _prepared_root(folder: Path) -> Path | None:
    """The photos' folder that a prepared set's manifest states."""
    for place in (folder, folder.parent):
        manifest = place / MANIFEST
        if manifest.is_file():
            try:
                image_root = json.loads(manifest.read_text(encoding="utf-8"))["image_root"]
                found = Path(os.path.normpath(place / image_root))
                if found.is_dir():
                    return found
            except (ValueError, KeyError, TypeError, RecursionError, OSError):
                logger.info("%s is no prepared set's", manifest)
    return None


def _unfound(prefix: str, written: str, by_end: MatchedNames, tally: Tally) -> str | None:
    """What a picture without a file is called; None where it cannot be named."""
    if written in by_end.ambiguous:
        tally.add(AMBIGUOUS, f"{written}: {', '.join(by_end.ambiguous[written][:3])}")
        return None
    try:
        return prefix + relative_name(written)
    except UnreadableFileError:
        tally.add(LEAVES, written)
        return None


def _joined(one: Objects, other: Objects) -> Objects:
    """Take the objects of a picture that one file lists in two spellings together."""
    fields = ("boxes_xyxy", "crowd", "difficult")
    arrays = {key: np.concatenate([getattr(one, key), getattr(other, key)]) for key in fields}
    ids = one.annotation_ids + other.annotation_ids
    return Objects(one.declared_hw, one.names + other.names, annotation_ids=ids, **arrays)


def _same(one: Objects, other: Objects) -> bool:
    boxes = (one.boxes_xyxy, other.boxes_xyxy)
    return one.names == other.names and np.array_equal(*boxes, equal_nan=True)


@dataclass(frozen=True, kw_only=True)
class ResultsSource(CocoSource):
    """Photos with the detections that count; large photos are there as smaller copies."""

    threshold: float = 0.0  # lowest score that counted
    rows: Sequence[Mapping] = ()  # the detections; the one at i has the annotation id i + 1

    def read(self, file_name: str) -> Annotated:
        """Read one photo's size, and bring its boxes to it."""
        found = super().read(file_name)
        if found.declared_hw in (None, found.image_hw):
            return found
        scale = np.array(found.image_hw[::-1]) / found.declared_hw[::-1]
        boxes_xyxy = found.boxes_xyxy * np.tile(scale, 2)
        return dataclasses.replace(found, boxes_xyxy=boxes_xyxy, declared_hw=None)


def is_results(src: Path) -> bool:
    """Return whether a folder holds the two tables of a prediction."""
    return all(is_ours(src / name, TABLE_MARKS[name]) for name in (IMAGES, PREDICTIONS))


def open_results(
    src: Path,
    *,
    image_root: Path | None = None,
    annotation_root: Path | None = None,
    score_threshold: float | None = None,
    uncounted: bool = False,
) -> ResultsSource:
    """Read the detections of a folder of results, whose own copies are the photos by default.

    Those from `score_threshold` on are taken, by default from the score on that counted. Photos
    that have no count are left out, unless `uncounted` ones are wanted too.
    """
    folder = annotation_root or src
    root = image_root or src / COPIES
    if not root.is_dir():
        raise UserError(
            f"Results are read with the copies of their photos in {COPIES}/, which --share leaves "
            f"out. Received {src} without them. Give the photos' folder by --image-root, or "
            "predict without --share."
        )
    about, rows = read_json(folder / IMAGES), read_json(folder / PREDICTIONS)
    try:
        threshold = about["info"]["count"]["threshold"]
        least = threshold if score_threshold is None else score_threshold
        left_out = {
            image["id"]: image["file_name"]
            for image in about["images"]
            if not (uncounted or image.get("has_count", True))
        }
        images = [image for image in about["images"] if image["id"] not in left_out]
        rows = [row for row in rows if row["image_id"] not in left_out]
        taken = [row for row in rows if row["score"] >= least]
        annotations = [{**row, "id": number} for number, row in enumerate(taken, start=1)]
        if image_root is None:
            images = [{**image, "file_name": name} for image, name in _copies(images)]
    except (AttributeError, KeyError, TypeError) as error:
        raise UnreadableFileError(
            f"A folder of results holds {IMAGES} and {PREDICTIONS} as `acnet predict` wrote them. "
            f"Received {folder}, where they are damaged ({type(error).__name__} {error}). Predict "
            "again."
        ) from error
    content = {**about, "images": images, "annotations": annotations}

    def read(path: Path, box: object) -> Table:
        return read_table(path, box, content)

    source = build_source([folder / PREDICTIONS], root, box_of, format_name="results", read=read)
    inputs = [folder / IMAGES, folder / PREDICTIONS]
    notes = [*source.notes, *(Note(NO_COUNT, f"{name}") for name in left_out.values())]
    found = {"inputs": inputs, "notes": notes, "unlisted": [], "rows": taken}
    return ResultsSource(**{**vars(source), **found, "threshold": threshold})


def _copies(images: Sequence[Mapping]) -> Iterator[tuple[Mapping, str]]:
    """Pair photos with their copies; older results do not say how these are called."""
    stems = distinct_stems([image["file_name"] for image in images])
    for image, stem in zip(images, stems, strict=True):
        yield image, image.get("copy", f"{COPIES}/{stem}.jpg").removeprefix(f"{COPIES}/")
