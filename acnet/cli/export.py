"""`acnet export`: a trained model as a file that other engines run."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from acnet.cli.arguments import hide_library_noise, positive_int
from acnet.config import config_of
from acnet.errors import UserError

DESCRIPTION = """\
Write a trained model as an ONNX file or as a program of torch.export (.pt2), for tiles of one size.
`acnet predict --weights FILE` runs it, and so does anything else that reads these formats: config,
class names, count model, and what the file takes and gives, are in its metadata. An ONNX file holds
no code; a .pt2 file can run any code where it is loaded.
"""
EPILOG = """\
examples:
  acnet export model.safetensors --output model.onnx
  acnet export output/toy/acnet_r18/model_best.pth --output model.pt2 --precision bfloat16
  acnet export model.safetensors --output model.onnx --tile 1024 --batch 1 --soft-nms outside

then:
  acnet predict photos/ --weights model.onnx --output results
"""
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
NEEDED = {".onnx": ("onnx", "onnxscript"), ".pt2": ()}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the command line.

    Args:
        subparsers: Of the main parser.
    """
    parser = subparsers.add_parser(
        "export",
        help="write a model for ONNX Runtime, OpenVINO or torch.export",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="bundle, checkpoint of a training, or name of a bundle"
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE", help="ending in .onnx or .pt2"
    )
    parser.add_argument(
        "--format", choices=tuple(SUFFIXES), help="default: by the ending of the output"
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
        "--soft-nms",
        choices=("inside", "outside"),
        default="inside",
        help="inside (default): the file gives final detections; outside: candidates, which "
        "`acnet predict` thins out",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 for .pt2 only; default float32",
    )
    parser.add_argument(
        "--count-model",
        type=Path,
        metavar="FILE",
        help="of `acnet calibrate` for this model; default: the bundle's",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export the model and say where it is.

    Args:
        args: The parsed command line.

    Returns:
        The exit status, 0.

    Raises:
        UserError: The weights cannot be used, or the model cannot be exported so.
    """
    hide_library_noise()
    output = _checked_output(args.output, args.format)
    from acnet.config import load_config
    from acnet.evaluation.count_model import read_count_model
    from acnet.export.export_model import ExportOptions, export_model
    from acnet.export.suffixes import is_export
    from acnet.inference.yacs_config import is_yacs_file
    from acnet.named_weights import resolve_weights

    weights = resolve_weights(args.weights)
    config_name = args.config_file or config_of(weights)
    if is_export(weights) or is_yacs_file(Path(config_name)):
        raise UserError(
            "An export is made of a checkpoint with a LazyConfig, or of a bundle. Received "
            f"{weights} with {config_name}; give the weights that were trained."
        )
    contents = export_model(
        load_config(config_name),
        weights,
        output,
        ExportOptions(
            tile_px=args.tile, batch=args.batch, soft_nms=args.soft_nms, precision=args.precision
        ),
        name=f"{weights.name}, {Path(config_name).name}",
        count_model=read_count_model(args.count_model) if args.count_model else None,
    )
    size = output.stat().st_size / 1e6
    batch = contents.settings.batch or "any number of"
    sys.stdout.write(
        f"{weights} exported to {output}, {size:.1f} MB: {batch} tiles of "
        f"{args.tile}x{args.tile}, {args.precision}, Soft-NMS {args.soft_nms}\n"
    )
    return 0


def _checked_output(output: Path, wanted: str | None) -> Path:
    fitting = [SUFFIXES[wanted]] if wanted else list(SUFFIXES.values())
    if output.suffix not in fitting:
        raise UserError(
            f"An exported file is known by its ending, {' or '.join(fitting)}. Received --output "
            f"{output}; name it {output.with_suffix(fitting[0]).name}."
        )
    missing = [name for name in NEEDED[output.suffix] if find_spec(name) is None]
    if missing:
        raise UserError(
            f"Writing {output.suffix} needs packages of their own. Received --output {output}, and "
            f"{', '.join(missing)} is not installed here: `pip install {' '.join(missing)}`, or "
            "acnet with its extra [export]."
        )
    return output


def _batch(text: str) -> int:
    return 0 if text == "dynamic" else positive_int(text)
