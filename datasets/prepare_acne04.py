#!/usr/bin/env python
"""Turn ACNE04, or the toy photos, into COCO files that detectron2 loads, and cut its tiles.

With the archives unpacked under $DETECTRON2_DATASETS/ACNE04 (see datasets/README.md):

  python datasets/prepare_acne04.py
  python datasets/prepare_acne04.py --src toy_photos --prefix toy --folds 0

This is `acnet data import SRC ROOT/PREFIX --format acne04 --tiles`, and takes its other options,
which `acnet data import --help` lists. acnet.data.register knows the result as acne04_trainval_0,
acne04_trainval_0_tiles and so on.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from acnet.cli.main import main as acnet_main
from acnet.data.prepared_set import NUM_FOLDS, PREFIXES, datasets_root


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what this script adds to `acnet data import`."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] [options of acnet data import]",
        allow_abbrev=False,
    )
    parser.add_argument("--src", type=Path, help="unpacked ACNE04; default: ROOT/ACNE04")
    parser.add_argument(
        "--dst", type=Path, help="ROOT of all data sets; default: $DETECTRON2_DATASETS or datasets"
    )
    parser.add_argument("--prefix", choices=PREFIXES, default="acne04", help="default: acne04")
    folds = f"of 0 to {NUM_FOLDS - 1}; default: all"
    parser.add_argument("--folds", type=int, nargs="+", metavar="FOLD", help=folds)
    # The earlier spelling of --tile-format.
    parser.add_argument("--format", choices=("jpg", "png"), help=argparse.SUPPRESS)
    return parser


def main() -> int:
    """Run `acnet data import` and return its exit status."""
    args, others = build_parser().parse_known_args()
    root = datasets_root(args.dst)
    words = [args.src or root / "ACNE04", root / args.prefix, "--format", "acne04", "--tiles"]
    words += ["--tile-format", args.format] if args.format else []
    words += ["--splits", *(f"*_{fold}" for fold in args.folds)] if args.folds else []
    return acnet_main(["data", "import", *map(str, words), *others])


if __name__ == "__main__":
    sys.exit(main())
