"""`acnet data toy`: draws photos of acne in ACNE04's layout."""

import argparse
import sys
from pathlib import Path

from acnet.cli.arguments import natural_float, natural_int, positive_float, positive_int

DESCRIPTION = """\
Draw photos of skin with acne, and write them as ACNE04 is written: photos, boxes and five folds.
Lesions are papules, pustules, nodules and whiteheads; moles, freckles, blush and hair distract.

Photo i depends on the options and on i only, so a larger --photos adds to a set that exists, and
the same command always gives the same files.
"""
EPILOG = """\
examples:
  acnet data toy toy_photos --photos 400
  acnet data toy hard_photos --photos 400 --colour-shift 2 --density 3
  acnet data toy large_photos --photos 20 --size 3112x3456 --lesion-px 20 300

then cut tiles and write COCO files, which train_net.py finds as toy_trainval_0 and so on:
  python datasets/prepare_acne04.py --src toy_photos --prefix toy
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Adds `toy` to the actions of `acnet data`.

    Args:
        actions: of the parser of `acnet data`.
    """
    toy = actions.add_parser(
        "toy",
        help="draw photos of acne in ACNE04's layout",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    toy.add_argument("dst", type=Path, metavar="DST", help="folder of the set: new or empty")
    toy.add_argument("--photos", type=positive_int, default=400, metavar="N", help="default 400")
    toy.add_argument(
        "--size",
        type=_size,
        nargs="+",
        default=[320],
        metavar="PX",
        help="side of the square photos, or WIDTHxHEIGHT; several are mixed; default 320",
    )
    toy.add_argument("--seed", type=natural_int, default=0, help="another seed, other photos")
    toy.add_argument(
        "--lesion-px",
        type=positive_float,
        nargs=2,
        default=[6.0, 80.0],
        metavar=("MIN", "MAX"),
        help="smallest and largest lesion in pixels, log-uniform between; default 6 80",
    )
    toy.add_argument(
        "--colour-shift",
        type=natural_float,
        default=1.0,
        metavar="X",
        help="strength of colour casts: 0 for white light, 1 as usual, 2 for hard ones; default 1",
    )
    toy.add_argument(
        "--scale-spread",
        type=natural_float,
        default=1.0,
        metavar="X",
        help="share of the size range in use: 0 for one size, 1 for all of --lesion-px; default 1",
    )
    toy.add_argument(
        "--density",
        type=natural_float,
        default=1.0,
        metavar="X",
        help="factor on the number of lesions, 7 a photo at the median; default 1",
    )
    toy.add_argument("--workers", type=positive_int, help="processes; default: all cores")
    toy.add_argument(
        "--overwrite", action="store_true", help="replace a toy set that other options made"
    )
    toy.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the generated photos and says what was written.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.
    """
    from acnet.data.parallel import default_workers
    from acnet.data.toy.toy_photo import ToyOptions
    from acnet.data.toy.toy_set import write_toy_set

    options = ToyOptions(
        seed=args.seed,
        sizes_px=tuple(args.size),
        lesion_px=tuple(sorted(args.lesion_px)),
        colour_shift=args.colour_shift,
        scale_spread=args.scale_spread,
        density=args.density,
    )
    written = write_toy_set(
        args.dst,
        options,
        photos=args.photos,
        workers=args.workers or default_workers(),
        overwrite=args.overwrite,
    )
    lesions = sum(photo.count for photo in written)
    news = (
        f"{len(written)} photos with {lesions} lesions"
        if written
        else "nothing new, it is complete"
    )
    sys.stdout.write(f"{args.dst}: {news}\n")
    return 0


def _size(text: str) -> int | tuple[int, int]:
    width, cross, height = text.partition("x")
    return (positive_int(width), positive_int(height)) if cross else positive_int(text)
