"""What the commands that evaluate saved predictions share: arguments, options and messages."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli.arguments import natural_int, positive_int

if TYPE_CHECKING:
    from acnet.evaluation.count_model import CountModel
    from acnet.evaluation.result import EvaluationOptions

PREDICTIONS_HELP = (
    "COCO results; beside an images.json of `acnet predict` photos are matched by name, "
    "else the ids are those of GT.json"
)


def add_ground_truth(parser: argparse.ArgumentParser, name: str = "GT.json") -> None:
    """Adds the first argument, the ground truth.

    Args:
        parser: of the command.
        name: what the help calls it.
    """
    parser.add_argument("ground_truth", type=Path, metavar=name, help="COCO annotations")


def add_bootstrap_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the match and the bootstrap.

    Args:
        parser: of the command.
    """
    parser.add_argument(
        "--replicates",
        type=natural_int,
        default=1000,
        metavar="N",
        help="of the bootstrap; 0 for no intervals; default 1000",
    )
    parser.add_argument(
        "--seed", type=natural_int, default=0, metavar="S", help="of the bootstrap; default 0"
    )
    parser.add_argument(
        "--max-detections",
        type=positive_int,
        default=1000,
        metavar="N",
        help="best detections of a photo and class that count; default 1000",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no table and no progress bar, errors only"
    )


def evaluation_options(args: argparse.Namespace) -> "EvaluationOptions":
    """Returns the options that `add_bootstrap_options` has parsed.

    Args:
        args: the parsed command line.
    """
    from acnet.evaluation.result import EvaluationOptions

    return EvaluationOptions(
        max_detections=args.max_detections,
        replicates=args.replicates,
        seed=args.seed,
        progress=not args.quiet,
    )


def read_count_model_for(path: Path, predictions: Path) -> "CountModel":
    """Reads a count model, unless it was fitted to scores of another merging.

    Args:
        path: of the count model.
        predictions: that it is to count; beside an images.json of `acnet predict` their merging is
            known.

    Raises:
        UserError: the file is no count model, or belongs to another merging.
    """
    from acnet.evaluation.count_model import check_merge, read_count_model
    from acnet.evaluation.saved_predictions import saved_merge

    model = read_count_model(path)
    merge = saved_merge(predictions)
    if merge is not None:
        check_merge(model, merge, source=str(path))
    return model


def set_up_logging(*, quiet: bool = False) -> None:
    """Lets the library say what it does on stderr.

    Args:
        quiet: only warnings.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s")
    logging.getLogger("acnet").setLevel(logging.WARNING if quiet else logging.INFO)
