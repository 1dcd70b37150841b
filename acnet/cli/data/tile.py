"""`acnet data tile`: cuts the photos of a prepared set into tiles."""

import argparse
import sys
from pathlib import Path

from acnet.cli.arguments import natural_int, positive_int, positive_share, share

DESCRIPTION = """\
Cut the photos of a prepared set into square tiles that overlap. SET gets

  tiles/                            the tiles, cut once for all splits
  annotations/{SPLIT}_tiles.json    their boxes; each tile knows its photo and its offset in it
  tiles.jsonl                       which photos are cut, by which a killed run goes on

The same command always gives the same files: what is there already is kept, tiles that it does not
ask for are removed. Training finds the tiles as SET's name with _SPLIT_tiles.

--virtual writes no pictures: the loader cuts each tile from its photo when it needs it. The pixels
are those of PNG tiles; it saves the disk and costs the loader one photo's decoding a tile.
"""
EPILOG = """\
examples:
  acnet data tile datasets/acne04
  acnet data tile datasets/roboflow --splits train valid --format png
  acnet data tile datasets/acne04 --splits '*_0' --virtual
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Adds `tile` to the actions of `acnet data`.

    Args:
        actions: of the parser of `acnet data`.
    """
    tile = actions.add_parser(
        "tile",
        help="cut a prepared set into tiles",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tile.add_argument(
        "set", type=Path, metavar="SET", help="folder with annotations/ and manifest.json"
    )
    tile.add_argument(
        "--splits",
        nargs="+",
        default=["*"],
        metavar="SPLIT",
        help="names or patterns such as 'test_*' of the splits to cut; default: all",
    )
    _add_choices(tile)
    _add_files(tile)
    tile.add_argument("--workers", type=positive_int, metavar="N", help="default: all cores")
    tile.set_defaults(run=run)


def _add_choices(tile: argparse.ArgumentParser) -> None:
    tile.add_argument("--tile", type=positive_int, default=640, metavar="PX", help="default 640")
    tile.add_argument("--overlap", type=natural_int, default=320, metavar="PX", help="default 320")
    tile.add_argument(
        "--min-share",
        type=positive_share,
        default=0.5,
        metavar="X",
        help="keep a box in a tile that holds this share of its area; default 0.5",
    )
    tile.add_argument(
        "--empty-share",
        type=share,
        default=0.1,
        metavar="X",
        help="share of the tiles without boxes that splits for training take; default 0.1",
    )
    tile.add_argument(
        "--train-splits",
        nargs="*",
        default=["train*"],
        metavar="SPLIT",
        help="names or patterns of the splits for training; the others take all tiles, since "
        "false alarms on bare skin count in an evaluation; default 'train*'",
    )


def _add_files(tile: argparse.ArgumentParser) -> None:
    tile.add_argument("--format", choices=("jpg", "png"), default="jpg", help="default jpg")
    tile.add_argument(
        "--quality", type=_quality, default=95, metavar="Q", help="of JPEG, 1 to 100; default 95"
    )
    tile.add_argument(
        "--png-level",
        type=int,
        choices=range(10),
        default=2,
        metavar="N",
        help="of PNG, 0 to 9: smaller files for more time; default 2",
    )
    tile.add_argument(
        "--virtual", action="store_true", help="write no pictures; the loader cuts the tiles"
    )


def run(args: argparse.Namespace) -> int:
    """Cuts the set and says what it holds.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.

    Raises:
        UserError: the overlap leaves no step, or the set cannot be cut.
    """
    from acnet.data.parallel import default_workers
    from acnet.data.prepared_set import PreparedLayout
    from acnet.data.tiles.tile_plan import TileOptions
    from acnet.data.tiles.tile_set import counts_table, tile_set
    from acnet.errors import UserError

    if args.overlap >= args.tile:
        raise UserError(
            "--overlap is smaller than --tile, or the tiles would not advance. "
            f"Received --overlap {args.overlap} and --tile {args.tile}. Choose a smaller overlap."
        )
    options = TileOptions(
        tile_px=args.tile,
        overlap_px=args.overlap,
        min_share=args.min_share,
        empty_share=args.empty_share,
        train_splits=tuple(args.train_splits),
        image_format=args.format,
        jpeg_quality=args.quality,
        png_level=args.png_level,
        virtual=args.virtual,
    )
    layout = PreparedLayout.of_folder(args.set)
    counts = tile_set(
        layout, options, splits=args.splits, workers=args.workers or default_workers()
    )
    sys.stdout.write(f"{counts_table(counts, layout)}\n\nwritten to {layout.folder}\n")
    return 0


def _quality(text: str) -> int:
    value = positive_int(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"a number from 1 to 100 is needed, received {text}")
    return value
