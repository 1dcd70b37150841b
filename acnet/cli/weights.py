"""`acnet weights` and `acnet export`: a trained model as one file, for us or for other engines."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from acnet.cli.main import add_command, path, positive_int
from acnet.errors import UserError, printable
from acnet.export.metadata import ONNX
from acnet.files import check_output_file

PACK_DESCRIPTION = """\
Pack the weights of a training with all that they need into one safetensors file: the config, the
names of the classes, the count model, and a card for people. `acnet predict --weights` then takes
this one file, and weights and config cannot be mixed up. The weights are tried in the config's
model before anything is written. Nothing of the training's machine or folders goes into the file.
"""
PACK_EPILOG = """\
examples:
  acnet weights pack output/toy/acnet_r18 toy.safetensors
  acnet weights pack output/demo/run demo.safetensors --count-model count.json --half

then:
  acnet weights show demo.safetensors
  acnet predict photos/ --weights demo.safetensors --output results
"""
EXPORT_DESCRIPTION = """\
Write a trained model as an ONNX file in float32, for tiles of one size, with Soft-NMS inside.
`acnet predict --weights FILE` runs it, and so does anything else that reads ONNX: config, class
names, count model, and what the file takes and gives, are in its metadata. It holds no code.
"""
EXPORT_EPILOG = """\
examples:
  acnet export model.safetensors --output model.onnx
  acnet export output/toy/acnet_r18/model_best.pth --output model.onnx --tile 1024 --batch 1

then:
  acnet predict photos/ --weights model.onnx --output results
"""
EXPORT_PACKAGES = ("onnx", "onnxscript")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `weights` with its actions, and `export`, to the command line."""
    parser = subparsers.add_parser("weights", help="pack, show and list weights")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    description = "Name the weights that are bundled with acnet; --weights takes their names."
    add_command(actions, "list", run_list, "name the bundled weights", description)
    add_pack_parser(actions)
    add_show_parser(actions)
    add_export_parser(subparsers)


def run_list(args: argparse.Namespace) -> int:
    """Write the names and files."""
    from acnet.checkpoint.bundle import HOW_TO_GET, named_weights

    named = named_weights()
    for name, file in named.items():
        sys.stdout.write(f"{name}\t{file}\n")
    if not named:
        sys.stderr.write(f"none are bundled with this version; to get some, {HOW_TO_GET}\n")
    return 0


def add_pack_parser(actions: argparse._SubParsersAction) -> None:
    """Add `pack` to the actions."""
    summary = "pack a trained model into one file"
    parser = add_command(actions, "pack", run_pack, summary, PACK_DESCRIPTION, PACK_EPILOG)
    parser.add_argument(
        "run_dir",
        type=path,
        metavar="RUN_DIR",
        help="folder of the training (its model_best.pth, else model_final.pth), or a weights file",
    )
    parser.add_argument("output", type=path, metavar="OUTPUT.safetensors", help="file to write")
    parser.add_argument(
        "--config-file", metavar="NAME", help="of the training; default: config.yaml in RUN_DIR"
    )
    parser.add_argument(
        "--count-model", type=path, metavar="FILE", help="of `acnet calibrate` for this model"
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="default: those of the config's test set"
    )
    parser.add_argument(
        "--card", type=path, metavar="FILE.md", help="text for people: data, licence, accuracy"
    )
    parser.add_argument(
        "--half", action="store_true", help="store float16: half the size, nearly the same results"
    )


def run_pack(args: argparse.Namespace) -> int:
    """Pack the model and say where it is."""
    from acnet.checkpoint.bundle import check_suffix, make_bundle, read_bundle, write_bundle
    from acnet.config import SAVED_CONFIG, load_config
    from acnet.evaluation.count_model import read_count_model
    from acnet.inference.trained_model import find_weights, load_model

    check_suffix(args.output)
    weights = find_weights(args.run_dir)
    inputs = [Path(name) for name in (weights, args.count_model, args.card) if name]
    check_output_file(args.output, inputs=inputs, known=read_bundle)
    cfg = load_config(args.config_file or weights.with_name(SAVED_CONFIG))
    count_model = read_count_model(args.count_model) if args.count_model else None
    trained = load_model(weights, cfg, device="cpu", optimize=False)
    classes = check_classes(args.classes, trained.class_names)
    state, bundle = make_bundle(
        cfg,
        trained.engine.model,
        classes,
        count_model=count_model,
        card=read_card(args.card) if args.card else None,
        half=args.half,
    )
    write_bundle(args.output, state, bundle)
    size = args.output.stat().st_size / 1e6
    sys.stdout.write(f"{weights} packed into {args.output}, {size:.1f} MB\n")
    return 0


def add_show_parser(actions: argparse._SubParsersAction) -> None:
    """Add `show` to the actions."""
    description = "Show a bundle's card, classes, count model and tensors, without running it."
    parser = add_command(actions, "show", run_show, "show what a bundle says", description)
    parser.add_argument("weights", metavar="FILE|NAME", help="bundle made by `acnet weights pack`")
    parser.add_argument("--config", action="store_true", help="show its config, a yaml, instead")
    parser.add_argument("--json", action="store_true", help="one JSON document for programs")


def run_show(args: argparse.Namespace) -> int:
    """Write what the bundle says."""
    from acnet.checkpoint.bundle import read_bundle, resolve_weights, tensor_summary

    path = resolve_weights(args.weights)
    bundle, tensors = read_bundle(path), tensor_summary(path)
    count_model = bundle.count_model and dataclasses.asdict(bundle.count_model)
    if args.config:
        sys.stdout.write(printable(bundle.config))
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


def check_classes(wanted: Sequence[str] | None, found: Sequence[str]) -> list[str]:
    """Return the names of classes that the user wants, or those of the config's test set."""
    if wanted is not None and len(wanted) != len(found):
        raise UserError(
            f"Each class of the model has a name, and it has {len(found)}. "
            f"Received --classes {' '.join(wanted)}; give {len(found)}."
        )
    return list(wanted or found)


def read_card(path: Path) -> str:
    """Read the text for people."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"A card is a text for people, in UTF-8. Received {path}: {error}. Give another file."
        ) from error


def add_export_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the command line."""
    texts = ("write a model for ONNX Runtime or OpenVINO", EXPORT_DESCRIPTION, EXPORT_EPILOG)
    parser = add_command(subparsers, "export", run_export, *texts)
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


def run_export(args: argparse.Namespace) -> int:
    """Export the model and say where it is."""
    _check_export(args.output)
    from acnet.config import config_of, load_config
    from acnet.evaluation.count_model import read_count_model
    from acnet.export.metadata import read_export
    from acnet.export.onnx_file import export_model
    from acnet.inference.trained_model import find_weights

    weights = find_weights(args.weights)
    config_name = args.config_file or config_of(weights)
    inputs = [Path(name) for name in (weights, config_name, args.count_model) if name]
    check_output_file(args.output, inputs=inputs, known=read_export, option="--output")
    if weights.suffix == ONNX:
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


def _check_export(output: Path) -> None:
    if output.suffix != ONNX:
        raise UserError(
            f"An exported file is known by its ending, {ONNX}. Received --output {output}; name it "
            f"{output.with_suffix(ONNX).name}."
        )
    missing = [name for name in EXPORT_PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"Writing {ONNX} files needs packages of their own. Received --output {output}, and "
            f"{', '.join(missing)} is not installed here: `pip install {' '.join(missing)}`, or "
            "acnet with its extra [export]."
        )


def _batch(text: str) -> int:
    return 0 if text == "dynamic" else positive_int(text)
