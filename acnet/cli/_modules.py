"""Sub-commands are modules: whoever adds one adds a file, and touches no list."""

import argparse
import importlib
import pkgutil


def command_modules(package: str) -> list[str]:
    """Returns the names of the command modules in a package of the command line, sorted.

    Args:
        package: its full name. Modules that begin with an underscore are helpers, `main` is the
            program.
    """
    path = importlib.import_module(package).__path__
    names = (module.name for module in pkgutil.iter_modules(path))
    return sorted(name for name in names if name != "main" and not name.startswith("_"))


def add_module_parsers(package: str, subparsers: argparse._SubParsersAction) -> None:
    """Lets each command module of a package add its parser.

    Args:
        package: its full name.
        subparsers: where to.
    """
    for name in command_modules(package):
        importlib.import_module(f"{package}.{name}").add_parser(subparsers)
