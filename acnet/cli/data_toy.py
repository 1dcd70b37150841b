"""`acnet data toy` and `acnet data toy-tests`: draw photos of acne, to train and to test on."""

import argparse
import sys

from acnet.cli.data import add_workers, command_line
from acnet.cli.main import (
    add_command,
    natural_float,
    natural_int,
    path,
    positive_float,
    positive_int,
)

TOY = """\
Draw photos of skin with acne, and write them as ACNE04 is written: photos, boxes and five folds.
Lesions are papules, pustules, nodules and whiteheads; moles, freckles, blush and hair distract.

Photo i depends on the options and on i only, so a larger --photos adds to a set that exists, and
the same command always gives the same files.
"""
TOY_EXAMPLES = """\
examples:
  acnet data toy toy_photos --photos 400
  acnet data toy hard_photos --photos 400 --colour-shift 2 --density 3
  acnet data toy large_photos --photos 20 --size 3112x3456 --lesion-px 20 300

then cut tiles and write COCO files, which train_net.py finds as toy_trainval_0 and so on:
  python datasets/prepare_acne04.py --src toy_photos --prefix toy
"""


def add_toy_parser(actions: argparse._SubParsersAction) -> None:
    """Add `toy` to the actions of `acnet data`."""
    text = "draw photos of acne in ACNE04's layout"
    toy = add_command(actions, "toy", run_toy, text, TOY, TOY_EXAMPLES)
    toy.add_argument("dst", type=path, metavar="DST", help="folder of the set: new or empty")
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
    add_workers(toy)
    toy.add_argument(
        "--overwrite", action="store_true", help="replace a toy set that other options made"
    )


def run_toy(args: argparse.Namespace) -> int:
    """Write the generated photos and say what was written."""
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
        workers=args.workers,
        overwrite=args.overwrite,
    )
    drawn = f"{len(written)} photos with {sum(photo.count for photo in written)} lesions"
    sys.stdout.write(f"{args.dst}: {drawn if written else 'nothing new, it is complete'}\n")
    return 0


def _size(text: str) -> int | tuple[int, int]:
    width, cross, height = text.partition("x")
    return (positive_int(width), positive_int(height)) if cross else positive_int(text)


TESTS = """\
Draw four sets of photos to test on, and import them as the splits of one set:

  mixed     as the photos of `acnet data toy`
  colour    colour casts that are three times as strong
  scale     a range of sizes that is 1.4 times as wide, in log scale: 3.6 to 134 pixels
  density   three times as many lesions

Photo i of each set shows the same skin, spots, hair, light and camera; one property differs. The
photos go to DST_photos, in ACNE04's layout.
"""
TESTS_EXAMPLES = """\
examples:
  acnet data toy-tests datasets/toy_tests
  python projects/ACNet/train_net.py --config-file toy/acnet_r18 --eval-only \\
      train.init_checkpoint=model_final.pth dataloader.test.dataset.names=toy_tests_colour

train_net.py knows them as toy_tests_mixed, toy_tests_colour, toy_tests_scale, toy_tests_density,
and in any other folder as DST:mixed and so on.
"""


def add_toy_tests_parser(actions: argparse._SubParsersAction) -> None:
    """Add `toy-tests` to the actions of `acnet data`."""
    text = "draw test sets hard in colour, scale or density"
    tests = add_command(actions, "toy-tests", run_toy_tests, text, TESTS, TESTS_EXAMPLES)
    tests.set_defaults(parser=tests)
    tests.add_argument("dst", type=path, metavar="DST", help="folder of the set")
    tests.add_argument(
        "--photos", type=positive_int, default=100, metavar="N", help="of each set; default 100"
    )
    tests.add_argument(
        "--size", type=positive_int, default=320, metavar="PX", help="side of a photo; default 320"
    )
    tests.add_argument("--seed", type=natural_int, default=7, help="another seed, other photos")
    add_workers(tests)
    tests.add_argument(
        "--overwrite", action="store_true", help="replace photos that other options made"
    )


def run_toy_tests(args: argparse.Namespace) -> int:
    """Write the four sets and say how many photos and lesions each holds."""
    from acnet.data.prepared_set import PreparedLayout
    from acnet.data.split import parts_text
    from acnet.data.toy.toy_set import ToyTests, write_toy_tests

    imported = write_toy_tests(
        PreparedLayout.of_folder(args.dst),
        ToyTests(seed=args.seed, photos=args.photos, size_px=args.size),
        workers=args.workers,
        overwrite=args.overwrite,
        command=command_line("data toy-tests", args.dst, args),
    )
    sys.stdout.write(f"{parts_text(imported)}written to {args.dst}\n")
    return 0
