"""`acnet tables`: trains the rows of the paper's tables, and writes what came out beside them."""

import argparse
import os
import sys
from pathlib import Path

from acnet.cli.arguments import natural_int, positive_int

DESCRIPTION = """\
Train rows of the paper's tables with several seeds, measure each on several test sets, and write a
page with the paper's number beside ours: OUTPUT gets

  index.html, results.md   tables, gains over the baseline with intervals, training curves
  runs/ROW/seed_N/         checkpoints and logs of each training
  results/ROW/seed_N.json  what it gave; small, and all that a table is made of

It does the first seed of every row, then the second, so that it is useful early. After an
interruption of any kind the same command goes on where it was. What is measured is not measured
again, and what was measured under other settings is refused.

Exit status: 0; 1 where a training failed, when the others were done; 2 where nothing could be done.
"""
EPILOG = """\
examples:
  acnet tables --data toy --tables 2 3 --seeds 1 2 3
  acnet tables --data toy --rows cb cb_frm --iterations 800 --jobs 2 --output output/longer
  acnet tables --data toy --report-only --results docs/lab/results/toy --markdown docs/lab/results.md
  acnet tables --data acne04 --tables 1 2 --seeds 1 --num-gpus 2
  acnet tables --data toy --rows baseline acnet --test sets/acne:valid --opts optimizer.lr=0.01
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `tables` to the command line.

    Args:
        subparsers: of the main parser.
    """
    parser = subparsers.add_parser(
        "tables",
        help="train the rows of the paper's tables and compare them",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_rows(parser)
    _add_trainings(parser)
    _add_places(parser)
    parser.set_defaults(run=run)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        choices=("toy", "acne04", "voc07"),
        default="toy",
        help="which configs: on generated photos (default), on ACNE04, or on PASCAL VOC 2007",
    )
    parser.add_argument(
        "--tables",
        type=int,
        nargs="+",
        choices=(1, 2, 3, 4),
        default=[],
        metavar="N",
        help="of the paper, 1 to 4; default: all that there are configs for",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[],
        metavar="NAME",
        help="configs, as toy/table2/cb_frm or cb_frm",
    )
    parser.add_argument(
        "--forms",
        nargs="+",
        choices=("letter", "tuned"),
        default=["letter", "tuned"],
        help="the paper's letter, or what trains best; default: both",
    )
    parser.add_argument(
        "--test",
        nargs="+",
        default=[],
        metavar="SET",
        help="sets to measure on, by name or as FOLDER:SPLIT; default: for toy a mixed one and "
        "three hard ones, else that of the config",
    )


def _add_trainings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=natural_int, nargs="+", default=[1, 2, 3], metavar="S", help="default 1 2 3"
    )
    parser.add_argument(
        "--iterations", type=positive_int, metavar="N", help="of every row; default: the configs'"
    )
    parser.add_argument(
        "--jobs",
        type=positive_int,
        metavar="N",
        help="trainings at a time; default: one a core, or one on a GPU",
    )
    parser.add_argument(
        "--num-gpus", type=natural_int, default=0, metavar="N", help="of one training"
    )
    parser.add_argument(
        "--opts", nargs="+", default=[], metavar="KEY=VALUE", help="change all rows' configs"
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="runs and pages; default output/tables/DATA"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="records; default OUTPUT/results"
    )
    parser.add_argument(
        "--datasets", type=Path, metavar="DIR", help="default: $DETECTRON2_DATASETS or datasets"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables between its markers, too"
    )
    parser.add_argument("--marker", metavar="NAME", help="of the markers; default DATA")
    parser.add_argument(
        "--report-only", action="store_true", help="train nothing, write the pages from the records"
    )


def run(args: argparse.Namespace) -> int:
    """Trains what is missing and writes the pages.

    Args:
        args: the parsed command line.

    Returns:
        The exit status.

    Raises:
        UserError: a row, a set or an override is unknown, or settings differ.
    """
    if args.datasets:  # detectron2 reads it once, when imported, and so do the trainings
        os.environ["DETECTRON2_DATASETS"] = str(args.datasets.absolute())
    from acnet.cli._evaluation import set_up_logging
    from acnet.cli.arguments import hide_library_noise

    hide_library_noise()
    set_up_logging()
    from acnet.tables.command import Request, make_tables

    output = args.output or Path("output/tables") / args.data
    request = Request(
        data=args.data,
        tables=tuple(args.tables),
        names=tuple(args.rows),
        forms=tuple(args.forms),
        tests=tuple(args.test),
        seeds=tuple(dict.fromkeys(args.seeds)),
        iterations=args.iterations,
        overrides=tuple(args.opts),
        jobs=args.jobs,
        num_gpus=args.num_gpus,
        output=output,
        results=args.results or output / "results",
        markdown=args.markdown,
        marker=args.marker,
        report_only=args.report_only,
    )
    outcome = make_tables(request)
    sys.stdout.write(outcome.text)
    return outcome.status
