"""`acnet doctor`: what is installed, what it can do, and how to mend what it cannot."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from acnet.cli.arguments import hide_library_noise

DESCRIPTION = """\
Look at everything that acnet needs: packages, GPU, picture formats, disk, weights. Each line says
ok, note (a limit that hinders nothing) or fault, with what mends it. Nothing is changed.

Exit status: 0, or 1 where there is a fault.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `doctor` to the command line.

    Args:
        subparsers: Of the main parser.
    """
    parser = subparsers.add_parser(
        "doctor",
        help="say what is installed and what is missing",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examine and report.

    Args:
        args: The parsed command line.

    Returns:
        The exit status: 0, or 1 where there is a fault.
    """
    hide_library_noise()
    from acnet.doctor import examine

    findings = examine(Path.cwd())
    faults = sum(finding.status == "fault" for finding in findings)
    if args.json:
        document = {"faults": faults, "findings": [dataclasses.asdict(one) for one in findings]}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return 1 if faults else 0
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        sys.stdout.write(f"{finding.status:<5}  {finding.name:<{width}}  {finding.text}\n")
        if finding.remedy:
            sys.stdout.write(f"{'':<{width + 9}}-> {finding.remedy}\n")
    sys.stdout.write(f"{faults} to be mended\n" if faults else "acnet can work here\n")
    return 1 if faults else 0
