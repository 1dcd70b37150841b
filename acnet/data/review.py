"""A data set or results under review: boxes are corrected on a page, and a set is prepared of them.

Every change is kept in the prepared set's folder, so that a reload or a restart goes on. The set
itself is written of the accepted photos, by the import, when the page asks for it.
"""

import functools
import itertools
import json
import math
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acnet.data.clean import ClassMap, choose_classes, clean_boxes, read_usable
from acnet.data.import_set import ImportOptions, check_apart, claim, import_set
from acnet.data.prepared_set import ACNE_CLASSES, PreparedLayout
from acnet.data.readers.coco_set import ResultsSource
from acnet.data.readers.safe_files import member, read_json
from acnet.data.readers.source import Source
from acnet.data.records import Annotated
from acnet.errors import UserError, shown
from acnet.files import write_json
from acnet.photos.decode import in_srgb
from acnet.photos.draw import encode_picture, limited
from acnet.photos.page import scripted_page
from acnet.photos.read import read_photo_file

PROGRESS = "review.json"  # in the prepared set's folder
SUGGESTED_FROM = 1 / 3  # of the score that counts: lower detections are not shown
MOST_BOXES = 5000  # of a photo
MOST_BYTES = 4 << 20  # of a photo's boxes as JSON
FLAGS = ("crowd", "difficult")  # of a box, which the page leaves as they are
_FILE = re.compile(r"boxes/(\d{1,7})\.json|pictures/(\d{1,7})\.jpg", re.ASCII)
_POST = re.compile(r"/boxes/(\d{1,7})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ReviewedSource(Source):
    """The accepted photos, with the boxes that were taken."""

    photos: Mapping[str, dict]

    def read(self, file_name: str) -> Annotated:
        """Read one photo's size and take its boxes."""
        photo = self.photos[file_name]
        boxes = [box for box in photo["boxes"] if box["taken"]]
        return Annotated(
            file_name=file_name,
            image_hw=self.read_size(file_name),
            declared_hw=tuple(photo["image_hw"]),
            names=tuple(box["name"] for box in boxes),
            boxes_xyxy=np.array([box["xyxy"] for box in boxes], np.float64).reshape(-1, 4),
            **{flag: np.array([flag in box for box in boxes], dtype=bool) for flag in FLAGS},
        )


class Review:
    """The page's photos, the most uncertain first, with their boxes as they are by now.

    Args:
        source: The data set. Of results also detections below the score that counts are shown, as
            suggestions, where they were opened with them.
        output: Folder of the prepared set: new, or of an earlier review of the same source.

    Raises:
        UserError: The folder holds something else, or no photo can be read.
    """

    def __init__(self, source: Source, output: Path, options: ImportOptions):
        self._source, self._options = source, options
        self._layout = PreparedLayout.of_folder(output)
        self._progress = self._layout.folder / PROGRESS
        check_apart(source, self._layout)
        read = read_usable(source).values()
        found = {name for photo in read for name in photo.names}
        declared = source.class_names or sorted(filter(None, found)) or ACNE_CLASSES
        classes = choose_classes(declared, found, format_name=source.format)
        self._class_names = classes.class_names
        photos = {photo.file_name: self._photo(photo, classes) for photo in read}
        self._names = sorted(photos, key=lambda name: (-photos[name]["uncertain"], name))
        self._photos, self._changed = photos, self._open_progress(photos)
        self._stamp = self._stamped()
        # Of each photo's state; larger than those that a page may still hold of an earlier run.
        self._revisions = itertools.count(int(time.time() * 1000))
        for photo in photos.values():
            photo["revision"] = next(self._revisions)
        self._lock, self._writing, self._drawing = (threading.Lock() for _ in range(3))
        self._picture = functools.lru_cache(maxsize=4)(self._draw)
        self.is_written = not self.accepted()

    def _photo(self, annotated: Annotated, classes: ClassMap) -> dict[str, Any]:
        boxes, uncertain = [], 0.0
        is_found = isinstance(self._source, ResultsSource)
        usable, kept, _ = clean_boxes(annotated.boxes_xyxy, annotated.image_hw, annotated.file_name)
        for box_xyxy, index in zip(usable.tolist(), kept.tolist(), strict=True):
            if annotated.names[index] not in classes.index_of:
                continue
            name = classes.class_names[classes.index_of[annotated.names[index]]]
            box = {"xyxy": box_xyxy, "name": name, "score": None, "taken": True}
            box |= {f: True for f in FLAGS if getattr(annotated, f)[index : index + 1].any()}
            if is_found:
                row = self._source.rows[annotated.annotation_ids[index] - 1]
                # The variance of the number of lesions, if each is there or not by itself.
                probability = row.get("probability", row["score"])
                uncertain += probability * (1 - probability)
                box |= {"score": row["score"], "taken": row["score"] >= self._source.threshold}
            boxes.append(box)
        return {
            "image_hw": list(annotated.image_hw),
            "boxes": boxes,
            "accepted": False,
            "uncertain": uncertain,
            "lost": annotated.lost + len(annotated.names) - len(boxes),
        }

    def _open_progress(self, photos: Mapping[str, dict]) -> dict[str, dict]:
        """Begin, or put what an earlier run kept into the photos and return it."""
        if not self._progress.is_file():
            if self._layout.manifest.is_file():
                raise UserError(
                    "A review is written to a folder of its own, so that no data set is lost. "
                    f"Received {self._layout.folder}, a prepared set. Name another --output."
                )
            claim(self._layout)
            write_json(self._progress, {"photos": {}})
            return {}
        content = read_json(self._progress)
        try:
            kept = {name: self._checked(photos[name], c) for name, c in content["photos"].items()}
            if any(photos[name]["image_hw"] != kept[name]["image_hw"] for name in kept):
                raise ValueError("sizes differ")
        except (AttributeError, KeyError, TypeError, ValueError, UserError) as error:
            raise UserError(
                "A review goes on with the photos and classes that it began with. Received "
                f"{self._progress}, which is damaged or of others ({type(error).__name__} "
                f"{error}). Name another --output."
            ) from error
        for name, photo in kept.items():
            photos[name] |= photo
        return kept

    def _checked(self, photo: Mapping[str, Any], content: Any) -> dict[str, Any]:
        """Return what may be kept of what a photo is said to hold."""
        boxes = content.get("boxes") if isinstance(content, dict) else None
        accepted = isinstance(boxes, list) and content.get("accepted")
        if not isinstance(accepted, bool) or not isinstance(boxes, list) or len(boxes) > MOST_BOXES:
            raise UserError(
                f"A photo has up to {MOST_BOXES} boxes, and is accepted or not. Received "
                f"{shown(content)}. Reload the page."
            )
        image_hw = content.get("image_hw", photo["image_hw"])
        return {
            "image_hw": image_hw,
            "boxes": [self._checked_box(box, photo["image_hw"]) for box in boxes],
            "accepted": accepted,
        }

    def _checked_box(self, box: Any, image_hw: list[int]) -> dict[str, Any]:
        height, width = image_hw
        try:
            x0, y0, x1, y1 = corners = [_number(value) for value in box["xyxy"]]
            score = None if box.get("score") is None else _number(box["score"])
            is_right = box["name"] in self._class_names and isinstance(box["taken"], bool)
            is_right &= 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            is_right &= score is None or 0 <= score <= 1
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            is_right = False
        if not is_right:
            raise UserError(
                f"A box has an area inside its photo of {width} x {height} pixels, and a class "
                f"among {', '.join(self._class_names)}. Received {shown(box)}. Draw it again."
            )
        flags = {flag: True for flag in FLAGS if box.get(flag) is True}
        taken = box["taken"]
        return {"xyxy": corners, "name": box["name"], "score": score, "taken": taken, **flags}

    def page(self) -> str:
        """Return the page, which asks for all else."""
        return scripted_page("review.html.j2", ["review.js"], title="Review")

    def file(self, name: str) -> bytes | None:
        """Return the list of photos, a photo's boxes or its picture; None where there is none."""
        if name == "photos.json":
            with self._lock:
                rows = [
                    {
                        "name": name,
                        "accepted": self._photos[name]["accepted"],
                        "boxes": sum(box["taken"] for box in self._photos[name]["boxes"]),
                    }
                    for name in self._names
                ]
            return json.dumps({"classes": self._class_names, "photos": rows}).encode()
        matched = _FILE.fullmatch(name)
        number = int(matched[1] or matched[2]) if matched else len(self._names)
        if number >= len(self._names):
            return None
        if matched[2]:
            with self._drawing:  # one large photo at a time in the memory
                return self._picture(self._names[number])
        with self._lock:
            return json.dumps(self._photos[self._names[number]]).encode()

    def _draw(self, name: str) -> bytes:
        photo = read_photo_file(member(self._source.image_root, name))
        photo_rgb, _ = limited(in_srgb(photo.image_bgr, photo.profile))
        return encode_picture(photo_rgb)

    def most_bytes(self, path: str) -> int | None:
        """Return how much may be sent to a path; None where nothing is taken."""
        matched = _POST.fullmatch(path)
        if path == "/write":
            return 0
        return MOST_BYTES if matched and int(matched[1]) < len(self._names) else None

    def post(self, path: str, name: str, content: bytes) -> dict:
        """Keep a photo's boxes and return the number of this state, or write the set.

        Raises:
            UserError: What is sent is no photo's boxes, or a change of a state that is no longer
                the last one, or another program writes the review, or no set can be written.
        """
        if path == "/write":
            return {"told": self.write()}
        name = self._names[int(path.rpartition("/")[2])]
        try:
            sent = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"Boxes are sent as JSON. Received what is none ({error}). Reload the page."
            ) from error
        kept = self._checked(self._photos[name], sent)
        kept["image_hw"] = self._photos[name]["image_hw"]
        with self._lock:
            current = self._photos[name]["revision"]
            if sent.get("revision", current) != current:
                raise UserError(
                    f"A photo is changed in one place at a time. Received boxes of {name} that "
                    "were changed elsewhere since, as in another tab. Reload the page."
                )
            self._check_alone()
            write_json(self._progress, {"photos": {**self._changed, name: kept}})
            self._stamp = self._stamped()
            self._changed[name] = kept
            self._photos[name] |= kept | {"revision": next(self._revisions)}
            self.is_written = False
            return {"revision": self._photos[name]["revision"]}

    def _stamped(self) -> tuple[int, int] | None:
        try:
            found = self._progress.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _check_alone(self) -> None:
        if self._stamped() != self._stamp:
            raise UserError(
                f"A review is done by one program at a time. Received {self._progress}, which "
                "another one has written or removed since. End both, and start one."
            )

    def accepted(self) -> dict[str, dict]:
        """Return the photos of which a set is written, by name."""
        return {name: photo for name, photo in self._photos.items() if photo["accepted"]}

    def write(self) -> str:
        """Prepare the set of the accepted photos, and say what it holds.

        Raises:
            UserError: No photo is accepted, or the import refuses them.
        """
        with self._writing:
            with self._lock:
                self._check_alone()
                photos = {name: dict(photo) for name, photo in self.accepted().items()}
                self.is_written = True
            try:
                return self._import(photos)
            except BaseException:
                self.is_written = False
                raise

    def _import(self, photos: Mapping[str, dict]) -> str:
        if not photos:
            raise UserError(
                "A set is written of the photos that are accepted. Received none. Accept some."
            )
        is_found = isinstance(self._source, ResultsSource)
        listed = {
            "train" if is_found else split: [name for name in names if name in photos]
            for split, names in self._source.splits.items()
        }
        source = ReviewedSource(
            format="review",
            image_root=self._source.image_root,
            splits={split: names for split, names in listed.items() if names},
            class_names=self._class_names,
            photos=photos,
        )
        imported = import_set(source, self._layout, self._options)
        records = {one.file_name: one for split in imported.splits.values() for one in split}
        boxes = sum(len(record.boxes_xyxy) for record in records.values())
        return (
            f"{self._layout.folder} is written. Accepted photos: {len(records)} of "
            f"{len(self._names)}. Boxes in them: {boxes}."
        )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)
