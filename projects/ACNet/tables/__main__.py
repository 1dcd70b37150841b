#!/usr/bin/env python
"""Train rows of the paper's tables with several seeds and write the paper's number beside ours.

Each row is measured on several test sets. OUTPUT gets

  index.html, results.md   tables, gains over the baseline with intervals, training curves
  runs/ROW/seed_N/         checkpoints and logs of each training
  pace/ROW/seed_N/         with --seconds, those of the short training that times the row
  results/ROW/seed_N.json  what it gave; small, and all that a table is made of

It does the first seed of every row, then the second, so that it is useful early. After an
interruption of any kind the same command goes on where it was. What is measured is not measured
again, and what was measured under other settings is refused.

Exit status: 0; 1 where a training failed, when the others were done; 2 where nothing could be done.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # this clone

from acnet.cli.main import natural_int, positive_int
from acnet.errors import UserError
from projects.ACNet.tables.rows import FORMS

EPILOG = """\
examples:
  python projects/ACNet/tables --data toy --tables 2 3 --seeds 1 2 3
  python projects/ACNet/tables --data toy --rows cb cb_frm --iterations 800 --jobs 2 \\
      --output output/longer
  python projects/ACNet/tables --data toy --report-only --results docs/lab/results
  python projects/ACNet/tables --data acne04 --tables 1 2 --seeds 1 --num-gpus 2
  python projects/ACNet/tables --data toy --tables 1 4 --seconds 600 --jobs 12
  python projects/ACNet/tables --data toy --rows baseline acnet --test sets/acne:valid \\
      --opts optimizer.lr=0.01
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this program's command line."""
    parser = argparse.ArgumentParser(
        prog="python projects/ACNet/tables",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        choices=("toy", "acne04", "voc07"),
        default="toy",
        help="which configs: on generated photos (default), on ACNE04, or on PASCAL VOC 2007",
    )
    add(
        "--tables",
        type=int,
        nargs="+",
        choices=(1, 2, 3, 4),
        default=[],
        metavar="N",
        help="of the paper, 1 to 4; default: all that there are configs for",
    )
    rows_help = "configs, as toy/table2/cb_frm or cb_frm"
    add("--rows", nargs="+", default=[], metavar="NAME", help=rows_help)
    add(
        "--forms",
        nargs="+",
        choices=tuple(FORMS),
        default=["paper", "tuned"],
        help="the paper's, or what trains best, or the paper's from a pretrained backbone, with a "
        "product or a sum in MAMA; default: the first two",
    )
    add(
        "--test",
        nargs="+",
        default=[],
        metavar="SET",
        help="sets to measure on, by name or as FOLDER:SPLIT; default: for toy a mixed one and "
        "three hard ones, else that of the config",
    )
    add("--seeds", type=natural_int, nargs="+", default=[1, 2, 3], metavar="S", help="1 2 3")
    length = parser.add_mutually_exclusive_group()
    iterations_help = "of every row; default: the configs'"
    length.add_argument("--iterations", type=positive_int, metavar="N", help=iterations_help)
    length.add_argument(
        "--seconds",
        type=positive_int,
        metavar="N",
        help="equal time instead: each row trains for as many iterations as it does in N seconds, "
        "by the pace of a short training before, which the results keep",
    )
    jobs_help = "trainings at a time; default: one a core, or one on a GPU"
    add("--jobs", type=positive_int, metavar="N", help=jobs_help)
    add("--num-gpus", type=natural_int, default=0, metavar="N", help="of one training")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="change all rows' configs")
    output_help = "runs and pages; default output/tables/DATA"
    add("--output", type=Path, metavar="DIR", help=output_help)
    add("--results", type=Path, metavar="DIR", help="records; default OUTPUT/results")
    datasets_help = "default: $DETECTRON2_DATASETS or datasets"
    add("--datasets", type=Path, metavar="DIR", help=datasets_help)
    markdown_help = "write the tables between its markers of DATA, too"
    add("--markdown", type=Path, metavar="FILE", help=markdown_help)
    only_help = "train nothing, write the pages from the records"
    add("--report-only", action="store_true", help=only_help)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, write the pages, and return the exit status."""
    args = build_parser().parse_args(argv)
    args.output = args.output or Path("output/tables") / args.data
    args.results = args.results or args.output / "results"
    if args.datasets:  # detectron2 reads it once, when imported, and so do the trainings
        os.environ["DETECTRON2_DATASETS"] = str(args.datasets.absolute())
    from acnet.cli.evaluate import set_up_logging
    from acnet.cli.main import hide_library_noise

    hide_library_noise()
    set_up_logging()
    from projects.ACNet.tables.runner import make_tables

    try:
        status, text = make_tables(args)
    except UserError as error:
        sys.stderr.write(f"tables: error: {error}\n")
        return 2
    sys.stdout.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
