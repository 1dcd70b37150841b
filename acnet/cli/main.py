"""The `acnet` command: finds the sub-commands, runs one and reports the user's mistakes.

Below is what the commands share: their place in the help, logging, and numbers with their limits.
"""

import argparse
import importlib
import logging
import math
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import acnet
from acnet.errors import UserError, printable

EXIT_USER_ERROR = 2
# The commit of April 2024 that the wheel was built of, but for its number and two lines.
GET_DETECTRON2 = (
    "`pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2@"
    "a59f05630a8f205756064244bf5beb8661f96180`; or `conda install -c conda-forge detectron2`; or "
    "`make env` in a clone of acnet, for the wheel whose hash is in detectron2.txt"
)
# What light installations lack, which are for predict, evaluate, labels, serve and review.
HEAVY = ("cv2", "detectron2", "matplotlib", "numba", "omegaconf", "safetensors", "scipy", "torch")
# Commands in the file of a relative.
ELSEWHERE = {"configs": "train", "export": "weights", "review": "serve"}
# Modules of a command package that are no commands.
HELPERS = {"data_check", "data_toy", "main"}


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


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are; its actions' parsers are like it."""

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line that says where to read on."""
        self.exit(2, f"{self.prog}: error: {printable(message)}; see {self.prog} --help\n")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of one command, or of the whole command line where it is no command.

    Neither imports torch or detectron2.
    """
    parser = OneLineParser(prog="acnet", description="Acne detection with ACNet.")
    parser.add_argument("--version", action="version", version=f"acnet {acnet.__version__}")
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh"),
        action=_PrintCompletion,
        help="print a script by which a shell completes words: see docs/predict.md",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    names = command_modules("acnet.cli")
    command = ELSEWHERE.get(command, command)
    for name in [command] if command in names else names:
        importlib.import_module(f"acnet.cli.{name}").add_parser(subparsers)
    return parser


class _PrintCompletion(argparse.Action):
    """Print what shtab makes of the whole parser, and end."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: str, option: object = None
    ) -> None:
        try:
            import shtab
        except ModuleNotFoundError:
            parser.exit(_complain("Completion is written by shtab. Install it: pip install shtab."))
        for action in _all_actions(parser):
            if action.type is path:
                action.complete = shtab.FILE
        sys.stdout.write(shtab.complete(parser, shell=values) + "\n")
        parser.exit()


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _all_actions(one)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command, and return its exit status, or 2 for a mistake of the user."""
    argv = sys.argv[1:] if argv is None else argv
    parser = build_parser(argv[0] if argv else None)
    if any("\0" in word for word in argv):  # as programs may hand on, and shells cannot
        parser.error("no file or option has a null character in its name, received one")
    args = parser.parse_args(argv)
    hide_library_noise()
    try:
        return args.run(args)
    except UserError as error:
        return _complain(str(error))
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        sys.stdout = None
        return EXIT_USER_ERROR
    except FileNotFoundError as error:
        return _complain(f"{error}. Correct the path." if error.filename else f"{error}.")
    except OSError as error:  # no space, no permission, a name too long, ...
        return _complain(f"{error}. Choose another place, or make room there.")
    except ModuleNotFoundError as error:
        if error.name not in HEAVY:
            raise
        light = f"This needs {error.name}, which the light installation lacks. Install acnet whole."
        lacks = f"detectron2 is not installed, and pip knows no release of it: {GET_DETECTRON2}."
        return _complain(lacks if error.name == "detectron2" else light)


def _complain(message: str) -> int:
    sys.stderr.write(f"acnet: error: {printable(message)}\n")
    return EXIT_USER_ERROR


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    """Add a command, or an action of one, whose help keeps its line ends."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


class _PrintableFormatter(logging.Formatter):
    """Keep what a file is called from giving commands to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def set_up_logging(level: int = logging.INFO) -> None:
    """Let the library say what it does on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PrintableFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("acnet").setLevel(level)


def path(text: str) -> Path:
    """Return a path; an empty one, of a variable that is not set, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path is needed, received an empty one")
    return Path(text)


def _number(
    name: str, kind: type, rule: str, is_right: Callable[[float], bool]
) -> Callable[[str], float]:
    """Return a function that reads a finite number, by the name that argparse shows in errors."""

    def read(text: str) -> float:
        value = kind(text)  # argparse reports the ValueError of a text that is no number
        if not is_right(value) or not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"a number {rule} is needed, received {text}")
        return value

    read.__name__ = name
    return read


positive_int = _number("positive_int", int, "above 0", lambda value: value > 0)
natural_int = _number("natural_int", int, "of at least 0", lambda value: value >= 0)
positive_float = _number("positive_float", float, "above 0", lambda value: value > 0)
natural_float = _number("natural_float", float, "of at least 0", lambda value: value >= 0)
share = _number("share", float, "from 0 to 1", lambda value: 0 <= value <= 1)
positive_share = _number(
    "positive_share", float, "above 0 and at most 1", lambda value: 0 < value <= 1
)


if __name__ == "__main__":
    sys.exit(main())
