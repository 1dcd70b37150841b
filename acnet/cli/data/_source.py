"""Naming a data set on the command line, the same for every action that reads one."""

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds SRC and what says how to read it.

    Args:
        parser: of an action.
    """
    parser.add_argument("src", type=Path, metavar="SRC", help="folder or file of the data set")
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help="acne04, acne04_v2, coco, voc or yolo; default: recognised by the files",
    )
    parser.add_argument(
        "--image-root", type=Path, metavar="DIR", help="folder of the photos, if elsewhere"
    )
    parser.add_argument(
        "--annotation-root",
        type=Path,
        metavar="DIR",
        help="folder of the annotations, if elsewhere",
    )


def open_given_source(args: argparse.Namespace):
    """Opens the data set that the command line names.

    Args:
        args: parsed with `add_source_arguments`.

    Returns:
        An `acnet.data.readers.source.Source`.

    Raises:
        UserError: there is none, or its format is not recognised.
    """
    from acnet.data.readers.formats import open_source

    return open_source(
        args.src,
        args.format,
        image_root=args.image_root,
        annotation_root=args.annotation_root,
    )


def command_line(action: str, args: argparse.Namespace, others: Iterable[object]) -> str:
    """Writes the command that does the same again from any folder.

    Args:
        action: such as "split".
        args: parsed with `add_source_arguments`.
        others: the further words; paths become absolute.
    """
    words = ["acnet", "data", action, args.src, "--format", args.format]
    for option in ("image_root", "annotation_root"):
        if getattr(args, option) is not None:
            words += [f"--{option.replace('_', '-')}", getattr(args, option)]
    words += others
    absolute = (word.absolute() if isinstance(word, Path) else word for word in words)
    return shlex.join(map(str, absolute))
