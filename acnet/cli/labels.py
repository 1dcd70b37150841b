"""`acnet labels`: found or annotated boxes in the formats of other tools."""

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from acnet.cli.data import add_source_arguments, open_given_source
from acnet.cli.main import add_command, path, set_up_logging, share
from acnet.errors import UserError, printable

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
    parser.add_argument(
        "--copy-images",
        action="store_true",
        help="copy the photos to DIR as well",
    )


def run(args: argparse.Namespace) -> int:
    """Write the boxes and say how many there are.

    Raises:
        UserError: The source cannot be read, or the folder holds something already.
    """
    set_up_logging(logging.WARNING)
    from acnet.data.clean import choose_classes, clean
    from acnet.data.readers.coco_set import is_results, open_results
    from acnet.data.records import Notes
    from acnet.data.writers import WRITERS

    there = args.output.is_dir() and {path.name for path in args.output.iterdir()} - {UNFINISHED}
    if there or (args.output.exists() and not args.output.is_dir()):
        raise UserError(
            "Labels are written to a folder of their own, so that no other files are lost. "
            f"Received --output {args.output}, which is there already; name another folder."
        )
    if args.score_threshold is None:
        source = open_given_source(args)
    elif is_results(args.src):
        roots = {"image_root": args.image_root, "annotation_root": args.annotation_root}
        source = open_results(args.src, **roots, score_threshold=args.score_threshold)
    else:
        raise UserError(
            "--score-threshold chooses among boxes that `acnet predict` found. Received it with "
            f"{args.src}, which is no folder of results; leave it out."
        )
    photos = {name: source.read(name) for names in source.splits.values() for name in names}
    found = {name for photo in photos.values() for name in photo.names}
    classes = choose_classes(source.class_names, found, format_name=source.format)
    cleaned = {name: clean(photo, classes) for name, photo in photos.items()}
    records = {name: record for name, (record, _) in cleaned.items() if record is not None}
    notes = Notes([*source.notes, *(note for _, found in cleaned.values() for note in found)])
    for kind, times in notes.counts().items():
        logger.warning("%s, %d times; `acnet data import` lists each", kind, times)
    _check_names([] if args.form == "coco" else [*records, *classes.class_names])
    splits = {
        split: [records[name] for name in names if name in records]
        for split, names in source.splits.items()
    }
    unfinished = args.output / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        WRITERS[args.form](unfinished, splits, classes.class_names)
        for name in records if args.copy_images else ():
            copy = unfinished / ("JPEGImages" if args.form == "voc" else "images") / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.image_root / name, copy)
        for path in unfinished.iterdir():
            path.replace(args.output / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    boxes = sum(len(record.boxes_xyxy) for record in records.values())
    left_out = len(photos) - len(records)
    more = f"; {left_out} photos left out, most of whose boxes cannot be used" if left_out else ""
    sys.stdout.write(
        f"{boxes} boxes of {len(records)} photos written to {printable(str(args.output))}{more}\n"
    )
    return 0


def _check_names(names: Sequence[str]) -> None:
    """Refuse what neither a line of a list nor XML can hold."""
    for name in names:
        if any(ord(letter) < ord(" ") for letter in name):
            raise UserError(
                "Names of photos and classes have no control characters, which neither lists nor "
                f"XML can hold. Received {name!r}; rename it, or write --as coco."
            )
