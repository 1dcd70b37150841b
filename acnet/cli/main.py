"""The `acnet` command: finds the sub-commands, runs one and reports the user's mistakes."""

import argparse
import importlib
import logging
import pkgutil
import sys
import warnings
from collections.abc import Sequence

import acnet
from acnet.errors import UserError, printable

EXIT_USER_ERROR = 2
NO_DETECTRON2 = (
    "detectron2 is not installed; pip cannot bring it along, because it has no release on the "
    "package index: run `make env` in a clone of this repository, or install it from "
    "https://github.com/facebookresearch/detectron2"
)


ELSEWHERE = {"export": "weights"}  # commands in the file of a relative
# Modules of a command package that are no commands.
HELPERS = {"arguments", "data_check", "data_toy", "main"}


def hide_library_noise() -> None:
    """Hide what detectron2 of April 2024 makes newer versions of torch say; call it before both."""
    warnings.filterwarnings("ignore", r".*torch\.(jit\.script|meshgrid)")
    for name in ("torch.fx._symbolic_trace", "torch._export.serde.serialize"):
        logging.getLogger(name).setLevel(logging.ERROR)


def command_modules(package: str) -> list[str]:
    """Return the names of the commands in a package, sorted; `_` begins a helper's name.

    Commands are modules, so whoever adds one adds a file and touches no list.
    """
    path = importlib.import_module(package).__path__
    names = {module.name for module in pkgutil.iter_modules(path)} - HELPERS
    return sorted(name for name in names if not name.startswith("_"))


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of one command, or of the whole command line where it is no command.

    Neither imports torch or detectron2.
    """
    parser = argparse.ArgumentParser(prog="acnet", description="Acne detection with ACNet.")
    parser.add_argument("--version", action="version", version=f"acnet {acnet.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    names = command_modules("acnet.cli")
    command = ELSEWHERE.get(command, command)
    for name in [command] if command in names else names:
        importlib.import_module(f"acnet.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: The arguments after the program's name; those of the process by default.

    Returns:
        The exit status: what the sub-command returned, or 2 for a mistake of the user.
    """
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(argv[0] if argv else None).parse_args(argv)
    hide_library_noise()
    try:
        return args.run(args)
    except UserError as error:
        return _complain(str(error))
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        sys.stdout = None
        return EXIT_USER_ERROR
    except OSError as error:  # no space, no permission, a name too long, ...
        return _complain(f"{error}. Choose another place, or make room there.")
    except ModuleNotFoundError as error:
        if error.name != "detectron2":
            raise
        return _complain(NO_DETECTRON2)


def _complain(message: str) -> int:
    sys.stderr.write(f"acnet: error: {printable(message)}\n")
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
