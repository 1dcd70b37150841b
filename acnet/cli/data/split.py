"""`acnet data split`: deals the photos of a data set to parts that share nothing."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from acnet.cli.arguments import natural_int, positive_int, positive_share
from acnet.cli.data._source import add_source_arguments, command_line, open_given_source
from acnet.errors import UserError

DESCRIPTION = """\
Deal the photos of a data set to parts, and write a COCO file for each. Copies and near copies of a
photo, and photos of one given group, go to the same part; photos and boxes are balanced. The photos
stay where they are. parts.csv in DST says what went where.

The same photos, options and seed give the same parts on every machine.
"""
EPILOG = """\
examples:
  acnet data split export/ datasets/export_split --parts train=0.8 valid=0.1 test=0.1
  acnet data split datasets/ACNE04 datasets/acne04_clean_folds --folds 5 --stratify grade
  acnet data split export/ datasets/by_patient --group-by patients.csv:patient
  acnet data split export/ datasets/by_source --group-regex '^(.+)_jpe?g\\.rf\\.'

The first column of the CSV file names the photos.
"""
PART_NAME = re.compile(r"[\w-]+", re.ASCII)
DEFAULT_PARTS = (("train", 0.8), ("valid", 0.1), ("test", 0.1))


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Adds `split` to the actions of `acnet data`.

    Args:
        actions: of the parser of `acnet data`.
    """
    split = actions.add_parser(
        "split",
        help="deal photos to parts that share nothing",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(split)
    split.add_argument("dst", type=Path, metavar="DST", help="folder of the new set")
    how = split.add_mutually_exclusive_group()
    how.add_argument(
        "--parts",
        type=_part,
        nargs="+",
        default=list(DEFAULT_PARTS),
        metavar="NAME=SHARE",
        help="parts and their shares of the photos; default: train=0.8 valid=0.1 test=0.1",
    )
    how.add_argument(
        "--folds", type=positive_int, metavar="N", help="trainval_K and test_K for N folds instead"
    )
    split.add_argument("--seed", type=natural_int, default=0, help="another seed, other parts")
    group = split.add_mutually_exclusive_group()
    group.add_argument(
        "--group-by",
        type=_csv_column,
        metavar="FILE.csv:COLUMN",
        help="keep photos together that have the same value, such as the patient",
    )
    group.add_argument(
        "--group-regex",
        type=_regex,
        metavar="REGEX",
        help="keep photos together whose file names agree in the first group of the expression",
    )
    split.add_argument(
        "--stratify", choices=("grade",), help="balance the grades too, not only photos and boxes"
    )
    split.add_argument("--workers", type=positive_int, help="processes; default: all cores")
    split.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Deals the photos and says how many went where.

    Args:
        args: the parsed command line.

    Returns:
        The exit status 0.

    Raises:
        UserError: the shares, the groups or the data set cannot be used.
    """
    from acnet.data.parallel import default_workers
    from acnet.data.split_set import SplitOptions, parts_text, write_split

    shares, folds = _shares(args.parts), _folds(args.folds)
    source = open_given_source(args)
    options = SplitOptions(
        shares=shares,
        folds=folds,
        seed=args.seed,
        group_table=args.group_by,
        group_regex=args.group_regex,
        by_grade=args.stratify == "grade",
        workers=args.workers or default_workers(),
        command=command_line("split", args, _words(args)),
    )
    parts = write_split(args.dst, source, options)
    sys.stdout.write(parts_text(parts))
    sys.stdout.write(f"written to {args.dst}: annotations, parts.csv\n")
    return 0


def _part(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    if not equals or not PART_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(
            f"NAME=SHARE is needed, the name of letters, digits, - and _; received {text!r}"
        )
    return name, positive_share(number)


def _csv_column(text: str) -> tuple[Path, str]:
    path, colon, column = text.rpartition(":")
    if not (path and colon and column):
        raise argparse.ArgumentTypeError(f"FILE.csv:COLUMN is needed, received {text!r}")
    return Path(path), column


def _regex(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{error} in {text!r}") from error
    if not groups:
        raise argparse.ArgumentTypeError(f"a group in brackets is needed, received {text!r}")
    return text


def _shares(parts: Sequence[tuple[str, float]]) -> dict[str, float]:
    shares, total = dict(parts), sum(share for _, share in parts)
    if len(shares) < len(parts) or abs(total - 1.0) > 1e-6:
        received = " ".join(f"{name}={share:g}" for name, share in parts)
        raise UserError(
            "Every photo goes to one part, so names of parts differ and their shares sum up to 1. "
            f"Received --parts {received}, which sum up to {total:g}. Correct --parts."
        )
    return shares


def _folds(folds: int | None) -> int | None:
    if folds == 1:
        raise UserError(
            "Of the folds one is tested on and the others trained on. Received --folds 1. "
            "Ask for 2 or more."
        )
    return folds


def _words(args: argparse.Namespace) -> list:
    words = [args.dst, "--seed", args.seed]
    if args.folds is not None:
        words += ["--folds", args.folds]
    else:
        words += ["--parts", *(f"{name}={share:g}" for name, share in args.parts)]
    if args.group_by is not None:
        path, column = args.group_by
        words += ["--group-by", f"{path.absolute()}:{column}"]
    if args.group_regex is not None:
        words += ["--group-regex", args.group_regex]
    return words + (["--stratify", args.stratify] if args.stratify else [])
