"""`acnet data check`: finds what is wrong with a data set, and writes a cleaned copy."""

import argparse
import sys
from pathlib import Path

from acnet.cli.arguments import hide_library_noise, positive_float, positive_int
from acnet.cli.data._source import add_source_arguments, command_line, open_given_source

DESCRIPTION = """\
Look for faults of a data set: damaged files, wrong sizes, boxes that are none, stray names, photos
that are there twice or in two parts, grades that do not agree with the lesions, and more; see
docs/data.md. Nothing is changed in place. The exit status is 1 where there are errors.
"""
EPILOG = """\
examples:
  acnet data check datasets/ACNE04
  acnet data check export/ --format yolo --json findings.json --page audit/
  acnet data check export/ --fix datasets/export_clean

The page shows boxes on empty outlines, so that it can be passed on where photos of faces cannot;
--with-photos shows the photos.
"""


def add_parser(actions: argparse._SubParsersAction) -> None:
    """Adds `check` to the actions of `acnet data`.

    Args:
        actions: of the parser of `acnet data`.
    """
    check = actions.add_parser(
        "check",
        help="find what is wrong with a data set",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_arguments(check)
    check.add_argument("--json", type=Path, metavar="FILE", help="write all findings and numbers")
    check.add_argument("--page", type=Path, metavar="DIR", help="write a page to look at")
    check.add_argument(
        "--with-photos", action="store_true", help="show the photos on the page, not only boxes"
    )
    check.add_argument(
        "--fix", type=Path, metavar="DST", help="write a cleaned copy: COCO files and photos"
    )
    check.add_argument(
        "--reference-photos",
        action="store_true",
        help="with --fix: leave the photos where they are, also those that are stored sideways",
    )
    _add_anchor_options(check)
    check.add_argument("--workers", type=positive_int, help="processes; default: all cores")
    check.set_defaults(run=run)


def _add_anchor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anchors",
        type=positive_float,
        nargs="+",
        default=[32.0, 64.0, 128.0, 256.0],
        metavar="PX",
        help="anchor sizes to compare the boxes with; default: the paper's, 32 64 128 256",
    )
    parser.add_argument(
        "--anchor-ratios",
        type=positive_float,
        nargs="+",
        default=[0.5, 1.0, 2.0],
        metavar="X",
        help="their heights over their widths; default 0.5 1 2",
    )
    parser.add_argument(
        "--anchor-stride", type=positive_int, default=8, metavar="PX", help="default 8"
    )


def run(args: argparse.Namespace) -> int:
    """Checks the data set and says what was found.

    Args:
        args: the parsed command line.

    Returns:
        The exit status: 0, or 1 where there are errors.
    """
    from acnet.data.audit.data_audit import AuditOptions, audit_source, report_text
    from acnet.data.audit.statistics import AnchorSet
    from acnet.data.parallel import default_workers
    from acnet.files import write_json

    source = open_given_source(args)
    anchors = AnchorSet(tuple(args.anchors), tuple(args.anchor_ratios), args.anchor_stride)
    workers = args.workers or default_workers()
    audit = audit_source(source, AuditOptions(anchors, workers))
    sys.stdout.write(report_text(audit.report))
    if args.json is not None:
        write_json(args.json, audit.report.as_dict(), indent=2)
    if args.page is not None:
        hide_library_noise()
        from acnet.visualization.audit_page import write_audit_page

        write_audit_page(args.page, audit, source.image_root if args.with_photos else None)
    if args.fix is not None:
        from acnet.data.audit.cleaned_copy import write_cleaned

        changes = write_cleaned(
            args.fix,
            source,
            audit,
            copy_photos=not args.reference_photos,
            workers=workers,
            command=command_line("check", args, _fix_words(args)),
        )
        sys.stdout.write(f"\n{args.fix}: a cleaned copy, {len(changes)} changes in changes.txt\n")
    return 1 if audit.report.has_errors() else 0


def _fix_words(args: argparse.Namespace) -> list:
    return ["--fix", args.fix, *["--reference-photos"] * args.reference_photos]
