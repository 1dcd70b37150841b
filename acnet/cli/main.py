"""The `acnet` command: finds the sub-commands, runs one and reports the user's mistakes."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

import acnet
from acnet import cli
from acnet.errors import UserError

EXIT_USER_ERROR = 2
NO_DETECTRON2 = (
    "detectron2 is not installed; pip cannot bring it along, because it has no release on the "
    "package index: run `make env` in a clone of this repository, or install it from "
    "https://github.com/facebookresearch/detectron2"
)


def subcommand_names() -> list[str]:
    """Return the names of the modules beside this one, sorted: each is a sub-command."""
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(name for name in names if name != "main" and not name.startswith("_"))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line, without importing torch or detectron2."""
    parser = argparse.ArgumentParser(prog="acnet", description="Acne detection with ACNet.")
    parser.add_argument("--version", action="version", version=f"acnet {acnet.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in subcommand_names():
        importlib.import_module(f"acnet.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: The arguments after the program's name; those of the process by default.

    Returns:
        The exit status: what the sub-command returned, or 2 for a mistake of the user.
    """
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        if error.name != "detectron2":
            raise
        return _complain(NO_DETECTRON2)


def _complain(message: str) -> int:
    sys.stderr.write(f"acnet: error: {message}\n")
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
