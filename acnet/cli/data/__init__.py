"""`acnet data`: makes, checks and prepares data sets; one module an action."""

import argparse

from acnet.cli.main import add_module_parsers


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds `data` and its actions to the command line.

    Args:
        subparsers: of the main parser.
    """
    parser = subparsers.add_parser("data", help="make, check and prepare data sets")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_module_parsers(__name__, actions)
