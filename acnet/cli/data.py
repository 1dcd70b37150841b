"""`acnet data`: makes, checks and prepares data sets. Here: how one is named, import and tiles."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from acnet.cli.main import add_command, natural_int, path, positive_int, positive_share, share
from acnet.errors import UserError
from acnet.files import default_workers

FORMATS = ("auto", "acne04", "acne04_v2", "coco", "results", "voc", "yolo")
IMPORT = """\
Read a data set as somebody published it, leave out or correct what training cannot take, and write
COCO files. The photos stay where they are. Below DST this writes

  annotations/SPLIT.json   the photos and boxes of each split, ids from 1
  dropped.txt              every box and photo that was left out or changed
  manifest.json            how it was made, where the photos are, and a hash of every input

train_net.py knows a DST inside $DETECTRON2_DATASETS as NAME_SPLIT, NAME being its last folder, and
any other as DST:SPLIT. --tiles cuts the photos as well, as `acnet data tile DST` does.
"""
IMPORT_EXAMPLES = """\
examples:
  acnet data import ~/Downloads/acne.v3i.yolov8 datasets/acne
  acnet data import acne.v3i.yolov8 datasets/acne --format yolo --one-class acne
  acnet data import VOCdevkit datasets/lesions --class-map papule=papule pustule=papule
  acnet data import instances.json datasets/lesions --image-root photos
  acnet data import ACNE04 datasets/acne04 --splits '*_0' --tiles

names that --class-map lacks are left out, and counted. Without it ACNE04's "fore" becomes "acne",
and all other formats keep their names.
"""
TILE = """\
Cut the photos of a prepared set into square tiles that overlap. SET gets

  tiles/                            the tiles, cut once for all splits
  annotations/{SPLIT}_tiles.json    their boxes; each tile knows its photo and its offset in it
  tiles.jsonl                       which photos are cut, by which a killed run goes on

The same command always gives the same files: what is there already is kept, tiles that it does not
ask for are removed. Training finds the tiles as SET's name with _SPLIT_tiles.

--virtual writes no pictures: the loader cuts each tile from its photo when it needs it. The pixels
are those of PNG tiles; it saves the disk and costs the loader one photo's decoding a tile.
"""
TILE_EXAMPLES = """\
examples:
  acnet data tile datasets/acne04
  acnet data tile datasets/roboflow --splits train valid --tile-format png
  acnet data tile datasets/acne04 --splits '*_0' --virtual
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `data` and its actions to the command line."""
    from acnet.cli import data_check, data_toy

    parser = subparsers.add_parser("data", help="make, check and prepare data sets")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    data_check.add_check_parser(actions)
    _add_import_parser(actions)
    data_check.add_split_parser(actions)
    _add_tile_parser(actions)
    data_check.add_relocate_parser(actions)
    data_toy.add_toy_parser(actions)
    data_toy.add_toy_tests_parser(actions)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add SRC and what says how to read it, the same for every action that reads a data set."""
    parser.add_argument("src", type=path, metavar="SRC", help="folder or JSON file of the data set")
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help=f"{', '.join(FORMATS[1:])}; default: auto, recognised by the files",
    )
    parser.add_argument(
        "--image-root", type=path, metavar="DIR", help="folder of the photos, if elsewhere"
    )
    parser.add_argument(
        "--annotation-root", type=path, metavar="DIR", help="folder of the annotations, likewise"
    )
    parser.set_defaults(parser=parser)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads, the same for every action that works on many photos."""
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=default_workers(),
        help="threads; default: all cores",
    )


def open_given_source(args: argparse.Namespace):
    """Open the data set that the command line names by `add_source_arguments`."""
    from acnet.data.readers.formats import open_source

    return open_source(
        args.src, args.format, image_root=args.image_root, annotation_root=args.annotation_root
    )


def open_given_results(args: argparse.Namespace, *, score_threshold: float, **options: bool):
    """Open the results of `acnet predict` that the command line names, from such a score on."""
    from acnet.data.readers.coco_set import open_results

    return open_results(
        args.src,
        image_root=args.image_root,
        annotation_root=args.annotation_root,
        score_threshold=score_threshold,
        **options,
    )


# Options that say how a command works and not what it writes into a set.
_NOT_REPEATED = ("json", "open", "overwrite", "page", "port", "with_photos", "workers")


def command_line(command: str, dst: Path, args: argparse.Namespace) -> str:
    """Write the command that makes a set again, from the folder above the set.

    It has the options of `args.parser` that differ from their defaults. Paths become relative to
    that folder, so that they hold where both are moved together.
    """
    root = Path(os.path.abspath(dst)).parent  # noqa: PTH100 - keeps links

    def portable(word: object) -> str:
        if isinstance(word, tuple):  # FILE:COLUMN, NAME=CLASS or PART=SHARE
            return (":" if isinstance(word[0], Path) else "=").join(map(portable, word))
        return os.path.relpath(word.expanduser(), root) if isinstance(word, Path) else f"{word}"

    words = ["acnet", *command.split()]
    for action in args.parser._actions:
        value = getattr(args, action.dest, None)
        if value in (None, action.default) or action.dest in _NOT_REPEATED:
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [*action.option_strings[:1], *map(portable, values)]
    return shlex.join(words)


def _add_import_parser(actions: argparse._SubParsersAction) -> None:
    text = "turn a data set of any known format into COCO files"
    parser = add_command(actions, "import", run_import, text, IMPORT, IMPORT_EXAMPLES)
    add_source_arguments(parser)
    parser.add_argument(
        "dst", type=path, metavar="DST", help="folder: new, or of an earlier import"
    )
    # The earlier spelling, `acnet data import FORMAT SRC DST`, is still taken.
    parser.add_argument("third", nargs="?", type=path, help=argparse.SUPPRESS)
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument(
        "--class-map",
        type=_pair,
        nargs="+",
        metavar="NAME=CLASS",
        help="which names become which classes; names that are not listed are left out",
    )
    classes.add_argument("--one-class", metavar="CLASS", help="take every name into one class")
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="SPLIT",
        help="names or patterns such as '*_0' of the splits to take; default: all",
    )
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave corrupt files out instead of stopping"
    )
    parser.add_argument(
        "--copy-images", action="store_true", help="copy the photos to DST/images as well"
    )
    add_workers(parser)
    parser.add_argument("--tiles", action="store_true", help="cut the photos into tiles as well")
    _add_tile_options(parser.add_argument_group("tiles, with --tiles"))


def run_import(args: argparse.Namespace) -> int:
    """Import the data set, cut its tiles if asked to, and say what was written and left out."""
    from acnet.data.import_set import ImportOptions, import_report, import_set
    from acnet.data.prepared_set import PreparedLayout

    _take_earlier_spelling(args)
    tiles = _tile_options(args) if args.tiles else None
    source = open_given_source(args)
    layout = PreparedLayout.of_folder(args.dst)
    options = ImportOptions(
        class_map=dict(args.class_map) if args.class_map else None,
        one_class=args.one_class,
        splits=args.splits,
        skip_unreadable=args.skip_unreadable,
        copy_images=args.copy_images,
        workers=args.workers,
        command=command_line("data import", args.dst, args),
    )
    imported = import_set(source, layout, options)
    sys.stdout.write(import_report(imported, source))
    if tiles is not None:
        from acnet.data.tiles.tile_set import counts_table, tile_set

        counts = tile_set(layout, tiles, workers=args.workers)
        sys.stdout.write(f"\n{counts_table(counts, layout)}\n")
    return 0


def _take_earlier_spelling(args: argparse.Namespace) -> None:
    if args.third is None:
        return
    if str(args.src) not in FORMATS:
        args.parser.error(f"unrecognized arguments: {args.third}")
    args.format, args.src, args.dst, args.third = str(args.src), args.dst, args.third, None


def _pair(text: str) -> tuple[str, str]:
    name, equals, to = (part.strip() for part in text.rpartition("="))
    if not (name and equals and to):
        raise argparse.ArgumentTypeError(f"NAME=CLASS is needed, received {text!r}")
    return name, to


def _add_tile_parser(actions: argparse._SubParsersAction) -> None:
    text = "cut a prepared set into tiles"
    tile = add_command(actions, "tile", run_tile, text, TILE, TILE_EXAMPLES)
    tile.add_argument(
        "set", type=path, metavar="SET", help="folder with annotations/ and manifest.json"
    )
    tile.add_argument(
        "--splits",
        nargs="+",
        default=["*"],
        metavar="SPLIT",
        help="names or patterns such as 'test_*' of the splits to cut; default: all",
    )
    _add_tile_options(tile, "--format")
    add_workers(tile)


def _add_tile_options(parser: argparse._ActionsContainer, *earlier: str) -> None:
    """Add how photos are cut, whichever action cuts them; `earlier` spells --tile-format."""
    px = {"metavar": "PX"}
    parser.add_argument("--tile", type=positive_int, default=640, **px, help="default 640")
    parser.add_argument("--overlap", type=natural_int, default=320, **px, help="default 320")
    parser.add_argument(
        "--min-share",
        type=positive_share,
        default=0.5,
        metavar="X",
        help="keep a box in a tile that holds this share of its area; default 0.5",
    )
    parser.add_argument(
        "--empty-share",
        type=share,
        default=0.1,
        metavar="X",
        help="share of the tiles without boxes that splits for training take; default 0.1",
    )
    parser.add_argument(
        "--train-splits",
        nargs="*",
        default=["train*"],
        metavar="SPLIT",
        help="names or patterns of the splits for training; the others take all tiles, since "
        "false alarms on bare skin count in an evaluation; default 'train*'",
    )
    parser.add_argument(
        *("--tile-format", *earlier),
        dest="tile_format",
        choices=("jpg", "png"),
        default="jpg",
        help="default jpg",
    )
    parser.add_argument(
        "--virtual", action="store_true", help="write no pictures; the loader cuts the tiles"
    )


def run_tile(args: argparse.Namespace) -> int:
    """Cut the set and say what it holds."""
    from acnet.data.prepared_set import PreparedLayout
    from acnet.data.tiles.tile_set import counts_table, tile_set

    options, layout = _tile_options(args), PreparedLayout.of_folder(args.set)
    counts = tile_set(layout, options, splits=args.splits, workers=args.workers)
    sys.stdout.write(f"{counts_table(counts, layout)}\n\nwritten to {layout.folder}\n")
    return 0


def _tile_options(args: argparse.Namespace):
    from acnet.data.tiles.tile_plan import TileOptions

    if args.overlap >= args.tile:
        raise UserError(
            "--overlap is smaller than --tile, or the tiles would not advance. "
            f"Received --overlap {args.overlap} and --tile {args.tile}. Choose a smaller overlap."
        )
    return TileOptions(
        tile_px=args.tile,
        overlap_px=args.overlap,
        min_share=args.min_share,
        empty_share=args.empty_share,
        train_splits=tuple(args.train_splits),
        image_format=args.tile_format,
        virtual=args.virtual,
    )
