"""`acnet train`, as `projects/ACNet/train_net.py`: train or evaluate a config; `acnet configs`."""

import argparse
import ast
import csv
import os
import sys
from pathlib import Path

from acnet.cli.main import add_command, path
from acnet.config import CONFIG_ROOT, available_configs
from acnet.errors import UserError

DESCRIPTION = """\
Train a model by its config, or evaluate one with --eval-only. All options come before the first
key=value. The device is chosen by itself: a GPU where there is one, else the CPU.
"""
EPILOG = """
`acnet configs` lists the configs' names; a path to a config of your own works as well. In a clone
`python projects/ACNet/train_net.py` is the same command, for torchrun too.

Examples:

  Draw photos to train on, and look whether everything works (the numbers mean nothing):
    acnet data toy datasets/toy_photos --photos 1000
    acnet data import datasets/toy_photos datasets/toy --format acne04 --tiles
    acnet train --config toy/acnet_r18 train.fast_dev_run=true

  Train on one GPU or on the CPU, and change the config:
    acnet train --config acne04/acnet_r101 optimizer.lr=0.0005

  Train on two GPUs, in either of two ways:
    acnet train --config acne04/acnet_r101 --num-gpus 2
    torchrun --nproc-per-node 2 projects/ACNet/train_net.py --config-file acne04/acnet_r101

  Train on two machines of four GPUs, the first of which is 10.0.0.1:
    (first)$  ... --num-gpus 4 --num-machines 2 --machine-rank 0 --dist-url tcp://10.0.0.1:29500
    (second)$ ... --num-gpus 4 --num-machines 2 --machine-rank 1 --dist-url tcp://10.0.0.1:29500

  Train on a data set that `acnet data import` wrote, wherever it is:
    acnet train --config acne04/acnet_r101 \\
        dataloader.train.dataset.names=sets/acne:train_tiles \\
        dataloader.test.dataset.names=sets/acne/annotations/valid_tiles.json

  Go on after an interruption, with the losses of an uninterrupted run:
    acnet train --config toy/acnet_r18 --resume

  Fine-tune the bundled weights on a set of your own, a quarter of which is held out to compare:
    acnet train --from acnet-r18-demo --data sets/corrected train.output_dir=output/mine

  Evaluate the best checkpoint of a run; the results go to evaluation.json in train.output_dir:
    acnet train --config toy/acnet_r18 --eval-only \\
        train.init_checkpoint=output/toy/acnet_r18/model_best.pth

  Repeat a run from the config it saved:
    acnet train --config output/toy/acnet_r18/config.yaml train.output_dir=output/again
"""
CONFIGS = """\
List the configs that `acnet train --config NAME` and --config-file take by name: parameters,
multiply-accumulates of an image of 640x640 pixels, or of the size that the config resizes to, in
thousands of millions (GMACs), and what the config is, with its row and number in the paper.
"""
SIZES = "sizes.csv"  # in the folder of the configs; a test compares it with the models


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` and `configs` to the command line."""
    summary = "list the models that can be trained by name"
    parser = add_command(subparsers, "configs", run_configs, summary, CONFIGS)
    parser.add_argument("prefix", nargs="?", default="", help="only names that begin so, as `toy`")
    summary = "train a model, or evaluate one on a data set"
    parser = add_command(subparsers, "train", run, summary, DESCRIPTION, EPILOG)
    parser.add_argument(
        "--from", dest="start", metavar="NAME|FILE", help="fine-tune these weights, with --data"
    )
    parser.add_argument("--data", type=path, metavar="SET", help="set of photos to fine-tune on")
    add_arguments(parser)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of train_net.py."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of detectron2's `default_argument_parser`, without importing it."""
    parser.add_argument(
        "--config-file", "--config", default="", metavar="NAME", help="a config's name or path"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint in train.output_dir"
    )
    parser.add_argument(
        "--eval-only", action="store_true", help="evaluate train.init_checkpoint, or with --resume"
    )
    parser.add_argument("--num-gpus", type=int, default=1, help="processes on each machine")
    parser.add_argument("--num-machines", type=int, default=1, help="machines in all")
    parser.add_argument("--machine-rank", type=int, default=0, help="which machine this is, from 0")
    # As in detectron2: a port that depends on the user alone, so that an orphan process is noticed.
    port = 2**15 + 2**14 + hash(os.getuid() if sys.platform != "win32" else 1) % 2**14
    parser.add_argument(
        "--dist-url",
        default=f"tcp://127.0.0.1:{port}",
        help="where the processes meet; `auto` finds a free port on one machine",
    )
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="key=value", help="changes to the config"
    )


def run(args: argparse.Namespace) -> int:
    """Start the processes of a run."""
    from acnet.engine.launch import launch

    options = {name: value for name, value in vars(args).items() if name != "run"}
    start, data = options.pop("start"), options.pop("data")
    if not start and not data:
        launch(main, argparse.Namespace(**options))
        return 0
    if not start or not data or args.config_file:
        raise UserError(
            "Fine-tuning takes weights and photos, and no config, since the weights have theirs: "
            "--from NAME --data SET. Received one of the two, or --config; correct the options."
        )
    launch(fine_tune, argparse.Namespace(**options, start=start, data=data))
    return 0


def fine_tune(args: argparse.Namespace) -> None:
    """Split a set, train on a part, and compare on the other, in one process of a run."""
    from detectron2.utils import comm

    from acnet.engine.launch import first_alone
    from acnet.inference.finetune import before_and_after, prepare

    tuning = first_alone(prepare, args.start, args.data, args.opts)
    main(argparse.Namespace(**{**vars(args), "config_file": str(tuning.config), "opts": []}))
    if comm.is_main_process() and not args.eval_only:
        sys.stdout.write(before_and_after(tuning))


def main(args: argparse.Namespace) -> None:
    """Train or evaluate in one process of a run, with arguments of `build_parser`."""
    from acnet.config import complete_train, dataset_names, load_config
    from acnet.data.register import register_all, register_paths
    from acnet.engine.evaluate import evaluate_only
    from acnet.engine.run_folder import check_run, prepare_run
    from acnet.engine.train import default_train

    register_all()
    cfg = load_config(args.config_file, args.opts)
    complete_train(cfg)
    register_paths(dataset_names(cfg))
    check_run(cfg, args)
    prepare_run(cfg, args)
    if args.eval_only:
        evaluate_only(cfg, args)
    else:
        default_train(cfg, args)


def run_configs(args: argparse.Namespace) -> int:
    """Write one line a config."""
    names = [name for name in available_configs() if name.startswith(args.prefix)]
    if not names:
        folders = sorted({name.partition("/")[0] for name in available_configs()})
        raise UserError(
            f"A prefix is the beginning of a config's name. Received {args.prefix!r}. "
            f"Names begin with {', '.join(folders)}."
        )
    sizes = {
        name: (f"{parameters / 1e6:.1f} M", f"{gmacs:.1f}")
        for name, (parameters, gmacs) in read_sizes().items()
    }
    rows = [("config", "parameters", "GMACs", "what it is")]
    for name in names:
        rows.append((name, *sizes.get(name, ("", "")), config_summary(CONFIG_ROOT / f"{name}.py")))
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


def config_summary(path: Path) -> str:
    """Return the first line of a config's docstring, without running the config."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")
