"""`acnet configs`: models that can be trained by name, with size and row in the paper."""

import argparse
import ast
import csv
import sys
from pathlib import Path

from acnet.cli.main import add_command
from acnet.config import CONFIG_ROOT, available_configs
from acnet.errors import UserError

DESCRIPTION = """\
List the configs that `acnet train --config NAME` and --config-file take by name: parameters,
multiply-accumulates of an image of 640x640 pixels, or of the size that the config resizes to, in
thousands of millions (GMACs), and what the config is, with its row and number in the paper.
"""
SIZES = "sizes.csv"  # in the folder of the configs; a test compares it with the models


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `configs` to the command line."""
    summary = "list the models that can be trained by name"
    parser = add_command(subparsers, "configs", run, summary, DESCRIPTION)
    parser.add_argument("prefix", nargs="?", default="", help="only names that begin so, as `toy`")


def run(args: argparse.Namespace) -> int:
    """Write one line a config."""
    names = [name for name in available_configs() if name.startswith(args.prefix)]
    if not names:
        folders = sorted({name.partition("/")[0] for name in available_configs()})
        raise UserError(
            f"A prefix is the beginning of a config's name. Received {args.prefix!r}. "
            f"Names begin with {', '.join(folders)}."
        )
    sizes = read_sizes()
    rows = [("config", "parameters", "GMACs", "what it is")]
    for name in names:
        parameters, gmacs = sizes.get(name, (None, None))
        rows.append(
            (
                name,
                "" if parameters is None else f"{parameters / 1e6:.1f} M",
                "" if gmacs is None else f"{gmacs:.1f}",
                summary(CONFIG_ROOT / f"{name}.py"),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, parameters, gmacs, what in rows:
        sys.stdout.write(
            f"{name:<{widths[0]}}  {parameters:>{widths[1]}}  {gmacs:>{widths[2]}}  {what}\n"
        )
    return 0


def read_sizes() -> dict[str, tuple[int, float]]:
    """Return parameters and GMACs by the config's name.

    They are of one image of 640x640 pixels, or of the square that a config resizes to, with as many
    proposals as the config keeps in prediction.
    """
    with (CONFIG_ROOT / SIZES).open(encoding="utf-8", newline="") as file:
        return {
            row["config"]: (int(row["parameters"]), float(row["gmacs"]))
            for row in csv.DictReader(file)
        }


def summary(path: Path) -> str:
    """Return the first line of a config's docstring, without running the config."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")
