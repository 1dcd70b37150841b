"""`acnet.data.toy.toy_set`: draws test sets that are each hard in one of the paper's ways."""

import argparse
import shlex
import sys
from pathlib import Path

from acnet.cli.arguments import natural_int, positive_int

DESCRIPTION = """\
Draw four sets of photos to test on, and import them as the splits of one set:

  mixed     as the photos of `acnet data toy`
  colour    colour casts that are three times as strong
  scale     a range of sizes that is 1.4 times as wide, in log scale: 3.6 to 134 pixels
  density   three times as many lesions

Photo i of each set shows the same skin, spots, hair, light and camera; one property differs. The
photos go to DST_photos, in ACNE04's layout.
"""
EPILOG = """\
examples:
  acnet.data.toy.toy_set datasets/toy_tests
  python projects/ACNet/train_net.py --config-file toy/acnet_r18 --eval-only \\
      train.init_checkpoint=model_final.pth dataloader.test.dataset.names=toy_tests_colour

train_net.py knows them as toy_tests_mixed, toy_tests_colour, toy_tests_scale, toy_tests_density,
and in any other folder as DST:mixed and so on.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Adds `toy-tests` to the actions of `acnet data`.

    Args:
        actions: of the parser of `acnet data`.
    """
    tests = actions.add_parser(
        "toy-tests",
        help="draw test sets hard in colour, scale or density",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tests.add_argument("dst", type=Path, metavar="DST", help="folder of the set")
    tests.add_argument(
        "--photos", type=positive_int, default=100, metavar="N", help="of each set; default 100"
    )
    tests.add_argument(
        "--size", type=positive_int, default=320, metavar="PX", help="side of a photo; default 320"
    )
    tests.add_argument("--seed", type=natural_int, default=7, help="another seed, other photos")
    tests.add_argument("--workers", type=positive_int, help="processes; default: all cores")
    tests.add_argument(
        "--overwrite", action="store_true", help="replace photos that other options made"
    )
    tests.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the four sets and says how many photos and lesions each holds.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.
    """
    from acnet.data.parallel import default_workers
    from acnet.data.prepared_set import PreparedLayout
    from acnet.data.split_set import parts_text
    from acnet.data.toy.toy_set import ToyTests, write_toy_tests

    imported = write_toy_tests(
        PreparedLayout.of_folder(args.dst),
        ToyTests(seed=args.seed, photos=args.photos, size_px=args.size),
        workers=args.workers or default_workers(),
        overwrite=args.overwrite,
        command=_command(args),
    )
    sys.stdout.write(f"{parts_text(imported)}written to {args.dst}\n")
    return 0


def _command(args: argparse.Namespace) -> str:
    numbers = ["--photos", args.photos, "--size", args.size, "--seed", args.seed]
    return shlex.join(map(str, ["acnet", "data", "toy-tests", args.dst.absolute(), *numbers]))
