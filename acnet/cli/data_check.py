"""`acnet data check`, `split`, `relocate`: faults of a set, parts, and where its photos are."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli.data import add_source_arguments, add_workers, command_line, open_given_source
from acnet.cli.main import add_command, natural_int, path, positive_int, positive_share
from acnet.errors import UserError
from acnet.files import check_output_file, write_json

if TYPE_CHECKING:
    from acnet.data.readers.source import Source

ON_STDOUT = Path("-")
JSON_MARKS = ('},\n  "statistics": {\n    "photos": ',)
PAGE_MARK = "<title>Audit of a data set</title>"
CHECK = """\
Look for faults of a data set: damaged files, wrong sizes, boxes that are none, stray names, photos
that are there twice or in two parts, grades that do not agree with the lesions, and more; see
docs/data.md. Nothing is changed in place. The exit status is 1 where there are errors.
"""
CHECK_EXAMPLES = """\
examples:
  acnet data check datasets/ACNE04
  acnet data check export/ --format yolo --json findings.json --page audit/
  acnet data check export/ --fix datasets/export_clean

The page shows boxes on empty outlines, so that it can be passed on where photos of faces cannot;
--with-photos shows the photos.
"""


def add_check_parser(actions: argparse._SubParsersAction) -> None:
    """Add `check` to the actions of `acnet data`."""
    text = "find what is wrong with a data set"
    check = add_command(actions, "check", run_check, text, CHECK, CHECK_EXAMPLES)
    add_source_arguments(check)
    check.add_argument(
        "--json",
        type=path,
        nargs="?",
        const=ON_STDOUT,
        metavar="FILE",
        help="all findings and numbers, on stdout in place of the text or in a file",
    )
    check.add_argument("--page", type=path, metavar="DIR", help="write a page to look at")
    check.add_argument(
        "--with-photos", action="store_true", help="show the photos on the page, not only boxes"
    )
    check.add_argument(
        "--fix", type=path, metavar="DST", help="write a cleaned copy: COCO files and photos"
    )
    check.add_argument(
        "--reference-photos",
        action="store_true",
        help="with --fix: leave the photos where they are, also those that are stored sideways",
    )
    add_workers(check)


def run_check(args: argparse.Namespace) -> int:
    """Check the data set and say what was found."""
    from acnet.data.audit.data_audit import audit_source, report_text, write_cleaned

    source = open_given_source(args)
    _check_outputs(args, source)
    audit = audit_source(source, workers=args.workers)
    if args.json not in (None, ON_STDOUT):
        write_json(args.json, audit.report.as_dict(), indent=2)
    if args.page is not None:
        from acnet.visualization.audit_page import write_audit_page

        write_audit_page(args.page, audit, source.image_root if args.with_photos else None)
    news = ""
    if args.fix is not None:
        changes = write_cleaned(
            args.fix,
            source,
            audit,
            copy_photos=not args.reference_photos,
            workers=args.workers,
            command=command_line("data check", args.fix, args),
        )
        news = f"\n{args.fix}: a cleaned copy, {len(changes)} changes in changes.txt\n"
    if args.json == ON_STDOUT:
        json.dump(audit.report.as_dict(), sys.stdout, allow_nan=False, indent=2)
        sys.stdout.write("\n")
        sys.stderr.write(news)
    else:
        sys.stdout.write(report_text(audit.report) + news)
    return 1 if audit.report.has_errors() else 0


def _check_outputs(args: argparse.Namespace, source: "Source") -> None:
    """Refuse outputs that would replace inputs or files of others, before the work begins."""
    if args.json not in (None, ON_STDOUT):
        check_output_file(args.json, inputs=source.inputs, marks=JSON_MARKS, option="--json")
    if args.page is not None:
        page = args.page / "index.html"
        check_output_file(page, inputs=source.inputs, marks=[PAGE_MARK], option="--page")


SPLIT = """\
Deal the photos of a data set to parts, and write a COCO file for each. Copies and near copies of a
photo, and photos of one given group, go to the same part; photos and boxes are balanced. The photos
stay where they are. parts.csv in DST says what went where.

The same photos, options and seed give the same parts on every machine.
"""
SPLIT_EXAMPLES = """\
examples:
  acnet data split export/ datasets/export_split --parts train=0.8 valid=0.1 test=0.1
  acnet data split datasets/ACNE04 datasets/acne04_clean_folds --folds 5 --stratify grade
  acnet data split export/ datasets/by_patient --group-by patients.csv:patient
  acnet data split export/ datasets/by_source --group-regex '^(.+)_jpe?g\\.rf\\.'

The first column of the CSV file names the photos.
"""
PART_NAME = re.compile(r"[\w-]+", re.ASCII)
DEFAULT_PARTS = (("train", 0.8), ("valid", 0.1), ("test", 0.1))


def add_split_parser(actions: argparse._SubParsersAction) -> None:
    """Add `split` to the actions of `acnet data`."""
    text = "deal photos to parts that share nothing"
    split = add_command(actions, "split", run_split, text, SPLIT, SPLIT_EXAMPLES)
    add_source_arguments(split)
    split.add_argument("dst", type=path, metavar="DST", help="folder of the new set")
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
    add_workers(split)


def run_split(args: argparse.Namespace) -> int:
    """Deal the photos and say how many went where."""
    from acnet.data.split import SplitOptions, parts_text, write_split

    shares = _shares(args.parts)
    if args.folds == 1:
        raise UserError(
            "Of the folds one is tested on and the others trained on. Received --folds 1. "
            "Ask for 2 or more."
        )
    source = open_given_source(args)
    options = SplitOptions(
        shares=shares,
        folds=args.folds,
        seed=args.seed,
        group_table=args.group_by,
        group_regex=args.group_regex,
        by_grade=args.stratify == "grade",
        workers=args.workers,
        command=command_line("data split", args.dst, args),
    )
    text = parts_text(write_split(args.dst, source, options))
    sys.stdout.write(f"{text}written to {args.dst}: annotations, parts.csv\n")
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


def add_relocate_parser(actions: argparse._SubParsersAction) -> None:
    """Add `relocate` to the actions of `acnet data`."""
    text = "say where the photos of a prepared set are now"
    description = "A set and its photos can be moved together. Where they part, SET has to know."
    example = "example:\n  acnet data relocate datasets/acne --image-root /mnt/photos/acne\n"
    parser = add_command(actions, "relocate", run_relocate, text, description, example)
    parser.add_argument("set", type=path, metavar="SET", help="folder of the prepared set")
    parser.add_argument(
        "--image-root", type=path, metavar="DIR", required=True, help="folder of the photos"
    )


def run_relocate(args: argparse.Namespace) -> int:
    """Write the photos' folder into the manifest, if they are those that were imported."""
    from acnet.data.prepared_set import PreparedLayout, relocate

    number = relocate(PreparedLayout.of_folder(args.set), args.image_root.expanduser())
    sys.stdout.write(f"{args.set}: {number} photos in {args.image_root}\n")
    return 0
