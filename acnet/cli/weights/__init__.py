"""`acnet weights`: packs a trained model into one file, and shows what is in such a file."""

import argparse

from acnet.cli.main import add_module_parsers


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `weights` and its actions to the command line.

    Args:
        subparsers: Of the main parser.
    """
    parser = subparsers.add_parser("weights", help="pack, show and list weights")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_module_parsers(__name__, actions)
