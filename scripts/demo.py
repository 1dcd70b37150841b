#!/usr/bin/env python
"""Show what the bundled weights find, then train a small ACNet on generated photos.

Within a minute the bundled weights have looked at two sample photos, or at PHOTOS of yours. Then it
draws 1,000 photos of skin with acne, trains on 800 of them for five to ten minutes on two cores,
evaluates on the other 200, and leaves in OUTPUT

  first_look/                what the bundled weights find, with a page of its own
  index.html                 what it found, what it did not, and all numbers
  results.md, results.json   the numbers
  loss_curve.png             the training
  run/                       weights, config, logs
  predictions/               what `acnet predict` writes, with a page of its own

Every step is a command that works on its own, and is shown. After an interruption, or to look
again, run it again: it goes on where it was.
"""

import argparse
import importlib.util
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

if importlib.util.find_spec("acnet") is None:  # a clone works without being installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from acnet.cli.main import hide_library_noise

REPO_ROOT = Path(__file__).resolve().parents[1]
CONFIG = "toy/acnet_r18"
PHOTO_PX = 320
SAMPLE_PHOTOS = REPO_ROOT / "datasets" / "sample_photos"
TYPICAL, WORST = 6, 3  # photos on the page
SHOWN_LOG_LINES = 15
LINE_SECONDS = 30.0  # between progress lines where stderr is a file

TRAINING = re.compile(r"eta: (?P<eta>\S+)\s+iter: (?P<iter>\d+)\s+(?P<rest>.*)")
LOSS = re.compile(r"(total_loss|loss_\w+): (\S+)")
INFERENCE = re.compile(r"Inference done (?P<done>\d+/\d+).*ETA=(?P<eta>\S+)")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("output/demo"), metavar="DIR")
    look_help = "photos or folders to look at first; two generated ones"
    add("--look", nargs="+", type=Path, default=[SAMPLE_PHOTOS], metavar="PHOTOS", help=look_help)
    photos_help = "a fifth of them for the test; 1000"
    add("--photos", type=int, default=1000, metavar="N", help=photos_help)
    add("--seed", type=int, default=42, help="of photos and training; 42")
    quick_help = "a few steps of everything; the numbers mean nothing"
    add("--quick", action="store_true", help=quick_help)
    add("overrides", nargs="*", metavar="key=value", help=f"changes to the config {CONFIG}")
    return parser


class StepFailedError(Exception):
    """A command of the demo failed; the message shows which, and its last words."""


class Demo:
    """The demo's steps, in order.

    Args:
        args: of `build_parser`.
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

    def check_settings(self) -> None:
        """Refuse a folder that holds a demo with other settings, and remember these ones."""
        from acnet.files import write_text

        output, path = self.folders.output, self.folders.output / "settings.json"
        if output.exists() and not output.is_dir():
            raise StepFailedError(
                f"--output is a folder. Received the file {output}; name another."
            )
        wanted = json.dumps(self.settings, indent=2)
        if path.is_file() and path.read_text(encoding="utf-8") != wanted:
            raise StepFailedError(
                f"{output} holds a demo with other settings, which this one would spoil:\n"
                f"{path.read_text(encoding='utf-8')}\nDelete {output}, or name another --output."
            )
        write_text(path, wanted)

    def look_first(self) -> None:
        """Show what the bundled weights find, as a user would, and where it is to be seen."""
        first_look = self.folders.output / "first_look"
        photos = [_shown(path) for path in self.look]
        self._acnet("first_look", "predict", *photos, "--output", first_look)
        say(f"  to look at meanwhile: {first_look / 'index.html'}")

    def make_photos(self) -> None:
        """Draw the photos and prepare them, which takes a minute the first time only."""
        marker = self.folders.output / "photos_are_ready"
        if marker.exists():
            say("  are ready")
            return
        numbers = ["--photos", self.settings["photos"], "--size", PHOTO_PX]
        toy = ["data", "toy", self.folders.photos, *numbers]
        self._acnet("photos", *toy, "--seed", self.settings["seed"])
        prepare = [_shown(REPO_ROOT / "datasets" / "prepare_acne04.py"), "--prefix", "toy"]
        folders = ["--src", self.folders.photos, "--dst", self.folders.layout.root]
        self._python("prepare", *prepare, *folders, "--folds", 0)
        marker.touch()

    def train(self) -> None:
        """Train, or go on with the training."""
        from acnet.config import load_config

        overrides, quick = self.settings["overrides"], self.settings["quick"]
        max_iter = None if quick else load_config(CONFIG, overrides).train.max_iter
        self._train_net(
            "train",
            *("--config-file", CONFIG, "--resume"),
            f"train.output_dir={self.folders.output / 'run'}",
            f"train.seed={self.settings['seed']}",
            "train.eval_period=0",  # at the end only
            *(["train.fast_dev_run=true"] if quick else []),
            *overrides,
            progress=training_progress(max_iter),
        )

    def evaluate(self) -> None:
        """Evaluate on the test photos.

        The last weights, not the best: those were chosen by their result on the same photos.
        """
        run = self.folders.run
        self._train_net(
            "evaluate",
            *("--config-file", run / "config.yaml", "--eval-only"),
            f"train.init_checkpoint={run / 'model_final.pth'}",
            f"train.output_dir={self.folders.output / 'evaluation'}",
            progress=evaluation_progress,
        )

    def predict(self) -> None:
        """Predict a few of the test photos as a user would."""
        from demo_report import choose_photos

        names = itertools.chain(*choose_photos(self.folders, TYPICAL, WORST))
        photos = [self.folders.photo(name) for name in names]
        weights = ["--weights", self.folders.run / "model_final.pth"]
        output = ["--output", self.folders.predictions]
        self._acnet("predict", "predict", *photos, "--attention", *weights, *output)

    def report(self) -> str:
        """Write the report and return its key numbers."""
        from demo_report import choose_photos, collect_results, write_report

        results = collect_results(self.folders, self.settings)
        typical, worst = choose_photos(self.folders, TYPICAL, WORST)
        command = shlex.join([_shown(sys.executable), *sys.argv])
        write_report(self.folders, results, command, typical=typical, worst=worst)
        ap, count = results["ap"], results["count"]
        return (
            f"AP50 {ap['AP50']:.1f} %, AP {ap['AP']:.1f} %, count error {count['MAE']:.2f} lesions "
            f"a photo, on {results['test_photos']} unseen photos, after "
            f"{results['training_minutes']:.1f} minutes of training"
        )

    def _acnet(self, name: str, *arguments: object) -> None:
        self._python(name, "-m", "acnet.cli.main", *arguments)

    def _train_net(self, name: str, *arguments: object, progress: Callable) -> None:
        script = _shown(REPO_ROOT / "projects" / "ACNet" / "train_net.py")
        self._python(name, script, *arguments, progress=progress)

    def _python(self, name: str, *arguments: object, progress: Callable | None = None) -> None:
        command = [_shown(sys.executable), *map(str, arguments)]
        shown = {"DETECTRON2_DATASETS": str(self.folders.layout.root)}
        log = self.folders.output / "logs" / f"{name}.log" if progress else None
        run(command, shown, log, progress)


def run(
    command: Sequence[str],
    variables: dict[str, str],
    log: Path | None = None,
    progress: Callable[[str], str | None] | None = None,
) -> None:
    """Show a command and run it.

    Args:
        command: program and arguments.
        variables: of its environment, shown with it.
        log: where its output is kept; None where it writes to the terminal itself.
        progress: with a log, turns a line of output into a line of progress, or None for nothing
            to show.

    Raises:
        StepFailedError: it ended with an error.
    """
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    shown = " ".join([*words, shlex.join(command)])
    say(f"$ {shown}")
    paths = [str(REPO_ROOT), os.environ.get("PYTHONPATH")]
    python_path = os.pathsep.join(path for path in paths if path)
    environment = {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1", **variables}
    options = {"env": os.environ | environment}
    if log is None:
        status = subprocess.run(command, check=False, **options).returncode
    else:
        status = _run_logged(command, log, progress, options)
    if status:
        lines = [f"this command failed with exit status {status}:", f"  {shown}"]
        if log is None:
            raise StepFailedError("\n".join([*lines, "What went wrong stands above."]))
        last = log.read_text(encoding="utf-8").splitlines()[-SHOWN_LOG_LINES:]
        lines += [f"The end of {log}:", *(f"  | {line}" for line in last)]
        raise StepFailedError("\n".join(lines))


def _run_logged(command: Sequence[str], log: Path, progress: Callable, options: dict) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    on_terminal, last = sys.stderr.isatty(), -LINE_SECONDS
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(command, errors="replace", **pipes, **options) as process,
    ):
        for text in process.stdout:
            file.write(text)
            file.flush()
            line = progress(text)
            if line and on_terminal:  # written over
                width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
                sys.stderr.write("\r" + line[:width].ljust(width))
                last = 0.0
            elif line and time.monotonic() - last >= LINE_SECONDS:
                say(line)
                last = time.monotonic()
    if on_terminal and last >= 0:
        say("")
    return process.returncode


def training_progress(max_iter: int | None) -> Callable[[str], str | None]:
    """Return what makes progress of a training's log: iteration, ETA and losses."""
    total = f"/{max_iter}" if max_iter else ""

    def progress(line: str) -> str | None:
        if "Nothing to do" in line:
            return "  is finished"
        found = TRAINING.search(line)
        if found is None:
            return evaluation_progress(line)
        losses = [
            f"{name.removeprefix('loss_').replace('total_loss', 'loss')} {float(value):.3f}"
            for name, value in LOSS.findall(found["rest"])
        ]
        iteration = int(found["iter"]) + 1
        return f"  iteration {iteration}{total}, ETA {found['eta']}, {', '.join(losses)}"

    return progress


def evaluation_progress(line: str) -> str | None:
    """Make progress of an evaluation's log: photos and ETA."""
    found = INFERENCE.search(line)
    return f"  photo {found['done']}, ETA {found['eta']}" if found else None


def say(text: str) -> None:
    """Tell the user what happens, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


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
        demo.check_settings()
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
