#!/usr/bin/env python
"""Turn ACNE04 into COCO files of whole photos and of 640x640 tiles, registered by name.

The source is ACNE04's own archives unpacked beside each other (Classification/ and Detection/),
the same files as a VOCdevkit, or photos that `acnet data toy` drew. The photos themselves stay
where they are. Below DST/PREFIX/ this writes

  annotations/{trainval,test}_{0..4}.json         whole photos
  annotations/{trainval,test}_{0..4}_tiles.json   tiles: training has those with boxes and a share
                                                  of the empty ones, test has all
  tiles/*.jpg                                     cut once for all folds
  dropped.txt                                     every box and photo that was left out or changed
  manifest.json                                   how it was made and where the photos are

and acnet.data.register knows the folds as acne04_trainval_0, acne04_trainval_0_tiles and so on.
"""

import argparse
import importlib.util
import shlex
import sys
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from tabulate import tabulate

from acnet.data.parallel import default_workers
from acnet.data.prepare import PrepareOptions, prepare_acne04
from acnet.data.prepared_set import NUM_FOLDS, PREFIXES, PreparedLayout, datasets_root
from acnet.data.readers.acne04 import open_acne04
from acnet.data.records import Notes
from acnet.data.tiles.tile_plan import FORMATS, TileOptions
from acnet.data.tiles.tile_set import TileCounts, counts_table
from acnet.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tiles = TileOptions()
    parser.add_argument("--src", type=Path, help="unpacked ACNE04; default: ROOT/ACNE04")
    parser.add_argument("--image-root", type=Path, help="photos, where they are not below SRC")
    parser.add_argument("--annotation-root", type=Path, help="XML files, likewise")
    parser.add_argument(
        "--dst", type=Path, help="ROOT of all data sets; default: $DETECTRON2_DATASETS or datasets"
    )
    parser.add_argument("--prefix", choices=PREFIXES, default="acne04", help="default: acne04")
    parser.add_argument(
        "--folds",
        type=int,
        nargs="+",
        metavar="FOLD",
        help=f"of 0 to {NUM_FOLDS - 1}; default: all",
    )
    parser.add_argument("--tile", type=int, default=tiles.tile_px, metavar="PX", help="default 640")
    parser.add_argument(
        "--overlap", type=int, default=tiles.overlap_px, metavar="PX", help="default 320"
    )
    parser.add_argument(
        "--min-share",
        type=float,
        default=tiles.min_share,
        metavar="X",
        help="keep a box in a tile that holds this share of its area; default 0.5",
    )
    parser.add_argument(
        "--empty-share",
        type=float,
        default=tiles.empty_share,
        metavar="X",
        help="share of the tiles without boxes to train on, 0 to 1; default 0.1",
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: jpg")
    parser.add_argument(
        "--virtual",
        action="store_true",
        help="write no tiles; the loader cuts them (acnet data tile)",
    )
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave corrupt files out instead of stopping"
    )
    parser.add_argument(
        "--workers", type=int, default=default_workers(), help="processes; default: all cores"
    )
    return parser


def check_ranges(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends the program with a usage message where a number makes no sense.

    Args:
        parser: that reports.
        args: what was given.
    """
    if not 0 <= args.overlap < args.tile:
        parser.error(f"--overlap is at least 0 and below --tile, received {args.overlap}")
    if not 0 < args.min_share <= 1:
        parser.error(f"--min-share is above 0 and at most 1, received {args.min_share}")
    if not 0 <= args.empty_share <= 1:
        parser.error(f"--empty-share is at least 0 and at most 1, received {args.empty_share}")
    if args.workers < 1:
        parser.error(f"--workers is at least 1, received {args.workers}")


def report(counts: list[TileCounts], notes: Notes, layout: PreparedLayout) -> str:
    """Returns what the user is told at the end.

    Args:
        counts: per fold and split.
        notes: on what was dropped or changed.
        layout: where it was written.
    """
    lines = [counts_table(counts, layout), ""]
    if notes.items:
        lines.append(tabulate(notes.counts().items(), ("dropped or changed", "times")))
        lines.append(f"each is listed in {layout.dropped}")
    else:
        lines.append("nothing was dropped or changed")
    return "\n".join([*lines, f"written to {layout.folder}", ""])


def main() -> int:
    """Runs the command line and returns the exit status."""
    parser = build_parser()
    args = parser.parse_args()
    check_ranges(parser, args)
    root = datasets_root(args.dst)
    layout = PreparedLayout(root, args.prefix)
    options = PrepareOptions(
        tiles=TileOptions(
            tile_px=args.tile,
            overlap_px=args.overlap,
            min_share=args.min_share,
            empty_share=args.empty_share,
            image_format=args.format,
            virtual=args.virtual,
        ),
        folds=args.folds,
        skip_unreadable=args.skip_unreadable,
        workers=args.workers,
        command=shlex.join(["python", "datasets/prepare_acne04.py", *sys.argv[1:]]),
    )
    try:
        source = open_acne04(
            args.src or root / "ACNE04",
            image_root=args.image_root,
            annotation_root=args.annotation_root,
        )
        counts, notes = prepare_acne04(source, layout, options)
    except UserError as error:
        sys.stderr.write(f"{parser.prog}: error: {error}\n")
        return 2
    sys.stdout.write(report(counts, notes, layout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
