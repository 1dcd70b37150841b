#!/usr/bin/env python
"""Show what the bundled weights find, then train a small ACNet on generated photos.

Within a minute the bundled weights have looked at two sample photos, or at PHOTOS of yours. Then it
draws 1,000 photos of skin with acne, trains on 800 of them for five to ten minutes on two cores,
evaluates on the other 200, and leaves in OUTPUT

  first_look/                what the bundled weights find, with a page of its own
  index.html                 everything below, on one page
  pictures/                  ground truth beside predictions
  results.md, results.json   the numbers
  loss_curve.png             the training
  run/                       weights, config, logs
  predictions/               what `acnet predict` writes, with a page of its own

Every step is a command that works on its own, and is shown. After an interruption, or to look
again, run it again: it goes on where it was.
"""

import argparse
import importlib.util
import json
import os
import shlex
import sys
from pathlib import Path

if importlib.util.find_spec("acnet") is None:  # a clone works without being installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from demo_steps import Runner, StepFailedError, evaluation_progress, say, training_progress

from acnet.cli.arguments import hide_library_noise

REPO_ROOT = Path(__file__).resolve().parents[1]
CONFIG = "toy/acnet_r18"
PHOTO_PX = 320
SAMPLE_PHOTOS = REPO_ROOT / "datasets" / "sample_photos"
SHOWN_PHOTOS = 6


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("output/demo"), metavar="DIR")
    parser.add_argument(
        "--look",
        nargs="+",
        type=Path,
        default=[SAMPLE_PHOTOS],
        metavar="PHOTOS",
        help="photos or folders to look at first; two generated ones",
    )
    parser.add_argument(
        "--photos", type=int, default=1000, metavar="N", help="a fifth of them for the test; 1000"
    )
    parser.add_argument("--seed", type=int, default=42, help="of photos and training; 42")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps of everything; the numbers mean nothing"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help=f"changes to the config {CONFIG}"
    )
    return parser


class Demo:
    """The demo's steps, in order.

    Args:
        args: Of `build_parser`.
    """

    def __init__(self, args: argparse.Namespace):
        from demo_report import Folders

        self.settings = {
            "config": CONFIG,
            "overrides": args.overrides,
            "seed": args.seed,
            "photos": args.photos,
            "quick": args.quick,
        }
        self.look = args.look
        # train.fast_dev_run writes to a folder of its own inside train.output_dir.
        inner = Path("fast_dev_run") if args.quick else Path()
        self.folders = Folders(
            output=args.output,
            run=args.output / "run" / inner,
            evaluation=args.output / "evaluation" / inner,
        )
        self.runner = Runner(
            args.output / "logs",
            shown_environment={"DETECTRON2_DATASETS": str(args.output / "datasets")},
            python_path=REPO_ROOT,
        )

    def look_first(self) -> None:
        """Show what the bundled weights find, as a user would, and where it is to be seen."""
        first_look = self.folders.output / "first_look"
        photos = [_shown(path) for path in self.look]
        predict = ["-m", "acnet.cli.main", "predict", *photos]
        self._python("first_look", *predict, "--output", first_look)
        say(f"  to look at meanwhile: {first_look / 'index.html'}")

    def make_photos(self) -> None:
        """Draw the photos and prepare them, which takes a minute the first time only."""
        marker = self.folders.output / "photos_are_ready"
        if marker.exists():
            say("  are ready")
            return
        numbers = ["--photos", self.settings["photos"], "--size", PHOTO_PX]
        toy = ["-m", "acnet.cli.main", "data", "toy", self.folders.photos, *numbers]
        self._python("photos", *toy, "--seed", self.settings["seed"])
        prepare = [_shown(REPO_ROOT / "datasets" / "prepare_acne04.py"), "--prefix", "toy"]
        folders = ["--src", self.folders.photos, "--dst", self.folders.layout.root]
        self._python("prepare", *prepare, *folders, "--folds", 0)
        marker.touch()

    def train(self) -> None:
        """Train, or go on with the training."""
        from acnet.config import load_config

        max_iter = load_config(CONFIG, self.settings["overrides"]).train.max_iter
        self._train_net(
            "train",
            [
                *("--config-file", CONFIG, "--resume"),
                f"train.output_dir={self.folders.output / 'run'}",
                f"train.seed={self.settings['seed']}",
                "train.eval_period=0",  # at the end only
                *(["train.fast_dev_run=true"] if self.settings["quick"] else []),
                *self.settings["overrides"],
            ],
            training_progress(None if self.settings["quick"] else max_iter),
        )

    def evaluate(self) -> None:
        """Evaluate on the test photos.

        The last weights, not the best: those were chosen by their result on the same photos.
        """
        run = self.folders.run
        self._train_net(
            "evaluate",
            [
                *("--config-file", run / "config.yaml", "--eval-only"),
                f"train.init_checkpoint={run / 'model_final.pth'}",
                f"train.output_dir={self.folders.output / 'evaluation'}",
            ],
            evaluation_progress,
        )

    def predict(self) -> None:
        """Predict a few of the test photos as a user would."""
        from demo_report import choose_photos

        names = choose_photos(self.folders.layout, SHOWN_PHOTOS)
        photos = [self.folders.photo(name) for name in names]
        predict = ["-m", "acnet.cli.main", "predict", *photos, "--attention"]
        weights = ["--weights", self.folders.run / "model_final.pth"]
        self._python("predict", *predict, *weights, "--output", self.folders.predictions)

    def report(self) -> str:
        """Write the report and return its key numbers."""
        from demo_report import collect_results, write_report

        results = collect_results(self.folders, self.settings)
        command = shlex.join([_shown(sys.executable), *sys.argv])
        write_report(self.folders, results, command)
        ap, count = results["ap"], results["count"]
        return (
            f"AP50 {ap['AP50']:.1f} %, AP {ap['AP']:.1f} %, count error {count['MAE']:.2f} lesions "
            f"a photo, on {results['test_photos']} unseen photos, after "
            f"{results['training_minutes']:.1f} minutes of training"
        )

    def _train_net(self, name, arguments, progress) -> None:
        script = _shown(REPO_ROOT / "projects" / "ACNet" / "train_net.py")
        self._python(name, script, *arguments, progress=progress)

    def _python(self, name, *arguments, progress=None) -> None:
        command = [_shown(sys.executable), *map(str, arguments)]
        self.runner.run(name, command, progress)


def check_settings(demo: Demo) -> None:
    """Refuse a folder that holds a demo with other settings, and remember these ones.

    Args:
        demo: That is to be run.

    Raises:
        StepFailedError: The folder holds something else.
    """
    from acnet.files import write_text

    output, path = demo.folders.output, demo.folders.output / "settings.json"
    if output.exists() and not output.is_dir():
        raise StepFailedError(f"--output is a folder. Received the file {output}; name another.")
    wanted = json.dumps(demo.settings, indent=2)
    if path.is_file() and path.read_text(encoding="utf-8") != wanted:
        raise StepFailedError(
            f"{output} holds a demo with other settings, which this one would spoil:\n"
            f"{path.read_text(encoding='utf-8')}\nDelete {output}, or name another --output."
        )
    write_text(path, wanted)


def main() -> int:
    """Run the demo and return the exit status."""
    args = build_parser().parse_args()
    hide_library_noise()
    demo = Demo(args)
    steps = [
        ("what the bundled weights find", demo.look_first),
        ("photos", demo.make_photos),
        ("training, five to ten minutes on two cores", demo.train),
        ("evaluation on photos it has not seen", demo.evaluate),
        ("prediction of a few of them", demo.predict),
    ]
    try:
        check_settings(demo)
        for number, (title, step) in enumerate(steps, start=1):
            say(f"\n[{number}/{len(steps)}] {title}")
            step()
        numbers = demo.report()
    except StepFailedError as error:
        say(f"\ndemo: {error}")
        return 1
    except KeyboardInterrupt:
        say("\ndemo: interrupted; the same command goes on from here")
        return 130
    page = demo.folders.output / "index.html"
    sys.stdout.write(f"\n{numbers}\nPictures and all numbers: {page}\n")
    return 0


def _shown(path: str | Path) -> str:
    """Return a path as a person would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


if __name__ == "__main__":
    sys.exit(main())
