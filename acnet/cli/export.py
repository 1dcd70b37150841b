"""`acnet export`: a trained model as a file that other engines run."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from acnet.cli.arguments import hide_library_noise, path, positive_int
from acnet.config import config_of
from acnet.errors import UserError
from acnet.export.metadata import ONNX, is_export

DESCRIPTION = """\
Write a trained model as an ONNX file in float32, for tiles of one size, with Soft-NMS inside.
`acnet predict --weights FILE` runs it, and so does anything else that reads ONNX: config, class
names, count model, and what the file takes and gives, are in its metadata. It holds no code.
"""
EPILOG = """\
examples:
  acnet export model.safetensors --output model.onnx
  acnet export output/toy/acnet_r18/model_best.pth --output model.onnx --tile 1024 --batch 1

then:
  acnet predict photos/ --weights model.onnx --output results
"""
NEEDED = ("onnx", "onnxscript")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="write a model for ONNX Runtime or OpenVINO",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="bundle, checkpoint of a training, or name of a bundle"
    )
    parser.add_argument(
        "--output", required=True, type=path, metavar="FILE", help=f"ending in {ONNX}"
    )
    parser.add_argument(
        "--config-file",
        metavar="NAME",
        help="config of a checkpoint, a name or path; default: config.yaml beside it",
    )
    parser.add_argument(
        "--tile", type=positive_int, default=640, metavar="PX", help="side of tiles; default 640"
    )
    parser.add_argument(
        "--batch",
        type=_batch,
        default=0,
        metavar="dynamic|N",
        help="tiles that go through at once; dynamic (default): any number",
    )
    parser.add_argument(
        "--count-model",
        type=path,
        metavar="FILE",
        help="of `acnet calibrate` for this model; default: the bundle's",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export the model and say where it is.

    Raises:
        UserError: The weights cannot be used, or the model cannot be exported so.
    """
    hide_library_noise()
    _check_output(args.output)
    from acnet.checkpoint.bundle import resolve_weights
    from acnet.config import load_config
    from acnet.evaluation.count_model import read_count_model
    from acnet.export.onnx_file import export_model

    weights = resolve_weights(args.weights)
    config_name = args.config_file or config_of(weights)
    if is_export(weights):
        raise UserError(
            "An export is made of a checkpoint with a LazyConfig, or of a bundle. Received "
            f"{weights} with {config_name}; give the weights that were trained."
        )
    export_model(
        load_config(config_name),
        weights,
        args.output,
        tile_px=args.tile,
        batch=args.batch,
        name=f"{weights.name}, {Path(config_name).name}",
        count_model=read_count_model(args.count_model) if args.count_model else None,
    )
    size = args.output.stat().st_size / 1e6
    sys.stdout.write(
        f"{weights} exported to {args.output}, {size:.1f} MB: {args.batch or 'any number of'} "
        f"tiles of {args.tile}x{args.tile}\n"
    )
    return 0


def _check_output(output: Path) -> None:
    if output.suffix != ONNX:
        raise UserError(
            f"An exported file is known by its ending, {ONNX}. Received --output {output}; name it "
            f"{output.with_suffix(ONNX).name}."
        )
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"Writing {ONNX} files needs packages of their own. Received --output {output}, and "
            f"{', '.join(missing)} is not installed here: `pip install {' '.join(missing)}`, or "
            "acnet with its extra [export]."
        )


def _batch(text: str) -> int:
    return 0 if text == "dynamic" else positive_int(text)
