"""`acnet data import`: turns a data set of any known format into COCO files."""

import argparse
import shlex
import sys
from pathlib import Path

from acnet.cli.arguments import positive_int

DESCRIPTION = """\
Read a data set as somebody published it, leave out or mend what training cannot take, and write
COCO files. The photos stay where they are. Below DST this writes

  annotations/SPLIT.json   the photos and boxes of each split, ids from 1
  dropped.txt              every box and photo that was left out or changed
  manifest.json            how it was made, where the photos are, and a hash of every input

train_net.py knows a DST inside $DETECTRON2_DATASETS as NAME_SPLIT, NAME being its last folder, and
any other as DST:SPLIT.
"""
EPILOG = """\
examples:
  acnet data import auto ~/Downloads/acne.v3i.yolov8 datasets/acne
  acnet data import yolo acne.v3i.yolov8 datasets/acne --one-class acne
  acnet data import voc VOCdevkit datasets/lesions --class-map papule=papule pustule=papule
  acnet data import coco instances.json datasets/lesions --image-root photos

names that --class-map lacks are left out, and counted. Without it ACNE04's "fore" becomes "acne",
and all other formats keep their names.
"""
FORMATS = ("auto", "acne04", "acne04_v2", "coco", "voc", "yolo")


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Adds `import` to the actions of `acnet data`.

    Args:
        actions: of the parser of `acnet data`.
    """
    parser = actions.add_parser(
        "import",
        help="turn a data set of any known format into COCO files",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("src", type=Path, metavar="SRC", help="folder of the set, or its JSON file")
    parser.add_argument(
        "dst", type=Path, metavar="DST", help="folder: new, or of an earlier import"
    )
    parser.add_argument("--image-root", type=Path, help="photos, where they are not below SRC")
    parser.add_argument("--annotation-root", type=Path, help="annotations, likewise")
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument(
        "--class-map",
        type=_pair,
        nargs="+",
        metavar="NAME=CLASS",
        help="which names become which classes; names that are not listed are left out",
    )
    classes.add_argument("--one-class", metavar="CLASS", help="take every name into one class")
    parser.add_argument("--splits", nargs="+", metavar="SPLIT", help="only these; default: all")
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave corrupt files out instead of stopping"
    )
    parser.add_argument(
        "--copy-images", action="store_true", help="copy the photos to DST/images as well"
    )
    parser.add_argument("--workers", type=positive_int, help="processes; default: all cores")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Imports the data set and says what was written and what was left out.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.
    """
    from acnet.data.import_set import ImportOptions, import_report, import_set
    from acnet.data.parallel import default_workers
    from acnet.data.prepared_set import PreparedLayout
    from acnet.data.readers.formats import open_source

    source = open_source(
        args.src, args.format, image_root=args.image_root, annotation_root=args.annotation_root
    )
    options = ImportOptions(
        class_map=dict(args.class_map) if args.class_map else None,
        one_class=args.one_class,
        splits=args.splits,
        skip_unreadable=args.skip_unreadable,
        copy_images=args.copy_images,
        workers=args.workers or default_workers(),
        command=_command(args),
    )
    imported = import_set(source, PreparedLayout.of_folder(args.dst), options)
    sys.stdout.write(import_report(imported, source))
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, to = (part.strip() for part in text.rpartition("="))
    if not (name and equals and to):
        raise argparse.ArgumentTypeError(f"NAME=CLASS is needed, received {text!r}")
    return name, to


def _command(args: argparse.Namespace) -> str:
    words = ["acnet", "data", "import", args.format, args.src.absolute(), args.dst.absolute()]
    for option in ("image_root", "annotation_root"):
        if getattr(args, option):
            words += [f"--{option.replace('_', '-')}", getattr(args, option).absolute()]
    if args.class_map:
        words += ["--class-map", *(f"{name}={to}" for name, to in args.class_map)]
    if args.one_class:
        words += ["--one-class", args.one_class]
    if args.splits:
        words += ["--splits", *args.splits]
    words += [
        f"--{option.replace('_', '-')}"
        for option in ("skip_unreadable", "copy_images")
        if getattr(args, option)
    ]
    return shlex.join(map(str, words))
