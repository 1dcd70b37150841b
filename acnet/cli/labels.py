"""`acnet labels`: found or annotated boxes in the formats of other tools."""

import argparse
import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli.data import add_source_arguments, open_given_results, open_given_source
from acnet.cli.main import add_command, path, set_up_logging, share
from acnet.errors import UserError, printable

if TYPE_CHECKING:
    from acnet.data.clean import ClassMap
    from acnet.data.readers.source import Source
    from acnet.data.records import Annotated, ImageRecord

logger = logging.getLogger(__name__)

FORMS = ("coco", "yolo", "voc", "labelstudio", "cvat")
UNFINISHED = ".acnet-labels.tmp"  # in DIR, until all of it is there: a killed run can be repeated
DESCRIPTION = """\
Write boxes for another tool: those that `acnet predict` found, or those of a data set of any format
that `acnet data import` reads. SRC is a folder of results, a data set, or a JSON file.

  coco         one JSON a split
  yolo         labels/*.txt and data.yaml
  voc          Annotations/*.xml and ImageSets/Main/*.txt
  labelstudio  tasks with boxes to correct, and interface.xml for the labelling setup
  cvat         one XML a split, "CVAT for images 1.1"

Corrected boxes come back by `acnet data import`: export them as COCO or YOLO.
"""
EPILOG = """\
examples:
  acnet labels results --as coco
  acnet labels results --as yolo --copy-images --output corrected
  acnet labels results --as cvat --image-root photos --score-threshold 0.5
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `labels` to the command line."""
    summary = "write found or annotated boxes for another tool"
    parser = add_command(subparsers, "labels", run, summary, DESCRIPTION, EPILOG)
    add_source_arguments(parser)
    parser.add_argument("--as", dest="form", choices=FORMS, required=True, help="the tool's format")
    parser.add_argument(
        "--output", type=path, default=Path("labels"), metavar="DIR", help="default labels"
    )
    parser.add_argument(
        "--score-threshold",
        type=share,
        metavar="X",
        help="lowest score of found boxes; default: the one that counted",
    )
    parser.add_argument("--copy-images", action="store_true", help="copy the photos to DIR as well")


def run(args: argparse.Namespace) -> int:
    """Write the boxes and say how many there are.

    Raises:
        UserError: The source cannot be read, or the folder holds something already.
    """
    set_up_logging(logging.WARNING)
    from acnet.data.clean import choose_classes, read_usable
    from acnet.data.writers import WRITERS, copy_place, without_crowds

    _check_output(args.output)
    source = _open(args)
    photos = read_usable(source)
    found = {name for photo in photos.values() for name in photo.names}
    classes = choose_classes(source.class_names, found, format_name=source.format)
    records = _clean_all(photos, classes, source)
    if args.form != "coco":
        crowds = sum(int(record.crowd.sum()) for record in records.values())
        records = without_crowds(records)
        if crowds:
            logger.warning("left out crowd regions, which only COCO marks as such: %d", crowds)
    _check_names([] if args.form == "coco" else [*records, *classes.class_names])
    splits = {
        split: [records[name] for name in names if name in records]
        for split, names in source.splits.items()
    }
    with _whole_or_not(args.output) as folder:
        WRITERS[args.form](folder, splits, classes.class_names)
        for name in records if args.copy_images else ():
            copy = folder / copy_place(args.form, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.image_root / name, copy)
    boxes = sum(len(record.boxes_xyxy) for record in records.values())
    left_out = len(photos) - len(records)
    more = f"; {left_out} photos left out, most of whose boxes cannot be used" if left_out else ""
    sys.stdout.write(
        f"{boxes} boxes of {len(records)} photos written to {printable(str(args.output))}{more}\n"
    )
    return 0


def _check_output(output: Path) -> None:
    """Refuse a folder that holds more than what a killed run left."""
    there = output.is_dir() and {one.name for one in output.iterdir()} - {UNFINISHED}
    if there or (output.exists() and not output.is_dir()):
        raise UserError(
            "Labels are written to a folder of their own, so that no other files are lost. "
            f"Received --output {output}, which is there already; name another folder."
        )


def _open(args: argparse.Namespace) -> "Source":
    if args.score_threshold is None:
        return open_given_source(args)
    from acnet.data.readers.coco_set import is_results

    if is_results(args.src):
        return open_given_results(args, score_threshold=args.score_threshold)
    raise UserError(
        "--score-threshold chooses among boxes that `acnet predict` found. Received it with "
        f"{args.src}, which is no folder of results; leave it out."
    )


def _clean_all(
    photos: Mapping[str, "Annotated"], classes: "ClassMap", source: "Source"
) -> dict[str, "ImageRecord"]:
    """Return the records by name, and warn of what is left out."""
    from acnet.data.clean import clean
    from acnet.data.records import Notes

    cleaned = {name: clean(photo, classes) for name, photo in photos.items()}
    notes = Notes([*source.notes, *(note for _, found in cleaned.values() for note in found)])
    for kind, times in notes.counts().items():
        logger.warning("%s, %d times; `acnet data import` lists each", kind, times)
    return {name: record for name, (record, _) in cleaned.items() if record is not None}


@contextlib.contextmanager
def _whole_or_not(output: Path) -> Iterator[Path]:
    """Give a folder to write to, whose files are moved to the output when all are there."""
    unfinished = output / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for one in unfinished.iterdir():
            one.replace(output / one.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_names(names: Sequence[str]) -> None:
    """Refuse what neither a line of a list nor XML can hold."""
    for name in names:
        if any(ord(letter) < ord(" ") for letter in name):
            raise UserError(
                "Names of photos and classes have no control characters, which neither lists nor "
                f"XML can hold. Received {name!r}; rename it, or write --as coco."
            )
