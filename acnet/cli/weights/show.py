"""`acnet weights show`: what a bundle says about itself."""

import argparse
import dataclasses
import json
import sys

from acnet.cli.arguments import hide_library_noise


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `show` to the actions.

    Args:
        subparsers: Of `acnet weights`.
    """
    parser = subparsers.add_parser(
        "show",
        help="show what a bundle says",
        description="Show a bundle's card, classes, count model and tensors, without running it.",
    )
    parser.add_argument("weights", metavar="FILE|NAME", help="bundle made by `acnet weights pack`")
    parser.add_argument("--config", action="store_true", help="show its config, a yaml, instead")
    parser.add_argument("--json", action="store_true", help="one JSON document for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write what the bundle says.

    Args:
        args: The parsed command line.

    Returns:
        The exit status, 0.

    Raises:
        UserError: It is no bundle.
    """
    hide_library_noise()
    from acnet.checkpoint.bundle import read_bundle, tensor_summary
    from acnet.named_weights import resolve_weights

    path = resolve_weights(args.weights)
    bundle, tensors = read_bundle(path), tensor_summary(path)
    count_model = bundle.count_model and dataclasses.asdict(bundle.count_model)
    if args.config:
        sys.stdout.write(bundle.config)
        return 0
    if args.json:
        document = {
            "classes": list(bundle.class_names),
            "count_model": count_model,
            "card": bundle.card,
            "config": bundle.config,
            "tensors": tensors,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return 0
    numbers = ", ".join(f"{count:,} in {dtype}" for dtype, count in tensors.items())
    counting = "none" if count_model is None else json.dumps(count_model)
    sys.stdout.write(
        f"{bundle.card.rstrip()}\n\n"
        f"classes:     {', '.join(bundle.class_names)}\n"
        f"count model: {counting}\n"
        f"numbers:     {numbers}\n"
        f"file:        {path}, {path.stat().st_size / 1e6:.1f} MB\n"
    )
    return 0
