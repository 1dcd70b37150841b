"""`acnet weights list`: the weights that come along, which --weights takes by name."""

import argparse
import sys


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `list` to the actions.

    Args:
        subparsers: Of `acnet weights`.
    """
    parser = subparsers.add_parser(
        "list",
        help="name the weights that come along",
        description="Name the weights that come along with acnet; --weights takes their names.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the names and files.

    Args:
        args: The parsed command line.

    Returns:
        The exit status, 0.
    """
    from acnet.named_weights import HOW_TO_GET, named_weights

    named = named_weights()
    for name, path in named.items():
        sys.stdout.write(f"{name}\t{path}\n")
    if not named:
        sys.stderr.write(f"none come along with this version; to get some, {HOW_TO_GET}\n")
    return 0
