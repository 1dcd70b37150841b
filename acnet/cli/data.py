"""`acnet data`: makes and prepares data sets."""

import argparse
import sys
from pathlib import Path

TOY_DESCRIPTION = """\
Draw photos of skin with acne, and write them as ACNE04 is written: photos, boxes and five folds.
Lesions are papules, pustules, nodules and whiteheads; moles, freckles, blush and hair distract.

Photo i depends on the options and on i only, so a larger --photos adds to a set that exists, and
the same command always gives the same files.
"""
TOY_EPILOG = """\
examples:
  acnet data toy toy_photos --photos 400
  acnet data toy hard_photos --photos 400 --colour-shift 2 --density 3

then cut tiles and write COCO files, which train_net.py finds as toy_trainval_0 and so on:
  python datasets/prepare_acne04.py --src toy_photos --prefix toy
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `data` and its actions to the command line.

    Args:
        subparsers: of the main parser.
    """
    parser = subparsers.add_parser("data", help="make and prepare data sets")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_toy_parser(actions)


def _add_toy_parser(actions: argparse._SubParsersAction) -> None:
    toy = actions.add_parser(
        "toy",
        help="draw photos of acne in ACNE04's layout",
        description=TOY_DESCRIPTION,
        epilog=TOY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    toy.add_argument("dst", type=Path, metavar="DST", help="folder of the set: new or empty")
    toy.add_argument("--photos", type=_positive_int, default=400, metavar="N", help="default 400")
    toy.add_argument(
        "--size",
        type=_positive_int,
        nargs="+",
        default=[320],
        metavar="PX",
        help="side of the square photos; several sides are mixed; default 320",
    )
    toy.add_argument("--seed", type=_natural_int, default=0, help="another seed, other photos")
    toy.add_argument(
        "--lesion-px",
        type=_positive_float,
        nargs=2,
        default=[6.0, 80.0],
        metavar=("MIN", "MAX"),
        help="smallest and largest lesion in pixels, log-uniform between; default 6 80",
    )
    toy.add_argument(
        "--colour-shift",
        type=_natural_float,
        default=1.0,
        metavar="X",
        help="strength of colour casts: 0 for white light, 1 as usual, 2 for hard ones; default 1",
    )
    toy.add_argument(
        "--scale-spread",
        type=_natural_float,
        default=1.0,
        metavar="X",
        help="share of the size range in use: 0 for one size, 1 for all of --lesion-px; default 1",
    )
    toy.add_argument(
        "--density",
        type=_natural_float,
        default=1.0,
        metavar="X",
        help="factor on the number of lesions, 7 a photo at the median; default 1",
    )
    toy.add_argument("--workers", type=_positive_int, help="processes; default: all cores")
    toy.add_argument(
        "--overwrite", action="store_true", help="replace a toy set that other options made"
    )
    toy.set_defaults(run=run_toy)


def run_toy(args: argparse.Namespace) -> int:
    """Writes the generated photos and says what was written.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.
    """
    from acnet.data.parallel import default_workers
    from acnet.data.toy import ToyOptions
    from acnet.data.toy_archive import write_toy_set

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


def _positive_int(text: str) -> int:
    return _number(text, int, above_zero=True)


def _natural_int(text: str) -> int:
    return _number(text, int, above_zero=False)


def _positive_float(text: str) -> float:
    return _number(text, float, above_zero=True)


def _natural_float(text: str) -> float:
    return _number(text, float, above_zero=False)


def _number(text: str, kind: type, *, above_zero: bool) -> int | float:
    value = kind(text)  # argparse reports a ValueError with the text
    if not (0 < value < float("inf") or (value == 0 and not above_zero)):
        limit = "above 0" if above_zero else "of at least 0"
        raise argparse.ArgumentTypeError(f"a number {limit} is needed, received {text}")
    return value
