"""Prepare the Python environment once and print the interpreter to use.

Run by the Makefile, with any Python 3, so that an unsupported one gets a clear sentence: nothing
here is newer than Python 3.6 and nothing is imported but the standard library. Standard output is
one line, the interpreter; all else goes to standard error, and pip's output to a log.

1. An interpreter that already has detectron2 is used as it is; nothing is installed into it.
2. Otherwise `.venv` is made with the versions of constraints.txt. A stamp, written last, tells
   a finished environment from an interrupted one and from one that the pins have outgrown.
"""

import argparse
import configparser
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

import bootstrap_checks as checks
from bootstrap_checks import SetupError, say

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = [
    "cv2",
    "defusedxml",
    "imagehash",
    "jinja2",
    "numba",
    "numpy",
    "PIL",
    "pycocotools",
    "safetensors",
    "simplejpeg",
    "torch",
    "torchvision",
    "yaml",
]
DEV_MODULES = [
    "faster_coco_eval",
    "hypothesis",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pytest",
    "ruff",
    "scipy",
]
# A build of these from source takes hours, or a tool chain that nobody has.
WHEELS_ONLY = (
    "grpcio,llvmlite,matplotlib,ml_dtypes,numba,numpy,onnx,onnxruntime,opencv-python-headless,"
    "pillow,PyWavelets,scipy,simplejpeg,torch,torchvision"
)
LOG_TAIL_LINES = 20


def hash_pinned(constraints_text):
    """Return the requirements with hashes, which stand in constraints.txt as comments."""
    lines = re.findall(r"^# hash-pinned: (.+)$", constraints_text, flags=re.MULTILINE)
    for line in lines or ["nothing"]:
        if not re.match(r"[\w-]+==[\w.]+ --hash=sha256:[0-9a-f]{64}$", line):
            raise SetupError(
                "constraints.txt must pin detectron2's wheel in a line `# hash-pinned: "
                "NAME==VERSION --hash=sha256:HEX`, or any file could take its place; received "
                "{!r}: restore the line".format(line)
            )
    return lines


def stamp_text(root):
    """Return what a finished environment is known by: its requirements and its place."""
    setup_cfg = configparser.ConfigParser()
    setup_cfg.read(os.path.join(root, "setup.cfg"), encoding="utf-8")
    options = [setup_cfg.items(name) for name in setup_cfg.sections() if "options" in name]
    pins = read_text(os.path.join(root, "constraints.txt"))
    return hashlib.sha256(repr((root, options, pins)).encode()).hexdigest() + "\n"


def read_text(path):
    """Return a file's text, or "" where there is no file."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_text(path, text):
    """Write a file so that it is either whole or not there."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


@contextlib.contextmanager
def only_one(path):
    """Let a second set-up of the same checkout wait for the first, and for the pip it started."""
    import fcntl  # absent on Windows, where there is no make either

    with open(path, "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Waiting for another set-up of this checkout to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Environment:
    """The virtual environment of one checkout, and the steps that complete it."""

    def __init__(self, root):
        self.root = root
        self.folder = os.path.join(root, ".venv")
        self.python = os.path.join(self.folder, "bin", "python")
        self.log = os.path.join(self.folder, "bootstrap.log")
        self.stamp = os.path.join(self.folder, "bootstrap.stamp")
        self.unfinished = os.path.join(self.folder, "bootstrap.unfinished")
        self.constraints = os.path.join(root, "constraints.txt")
        self.started = time.time()

    def is_current(self):
        """Tell whether the environment is finished and made from the files as they are now."""
        return os.path.exists(self.python) and read_text(self.stamp) == stamp_text(self.root)

    def is_foreign(self):
        """Tell whether somebody else made the folder; then nothing is written to it."""
        if not os.path.isdir(self.folder) or not os.listdir(self.folder):
            return False
        return not os.path.exists(self.stamp) and not os.path.exists(self.unfinished)

    def complete(self, find_python):
        """Make or update the environment; safe to interrupt at any moment and run again.

        Args:
            find_python: Returns the interpreter to build with; called where there is none yet.
        """
        if os.path.exists(self.stamp) and checks.interpreter_version(self.python):
            os.replace(self.stamp, self.unfinished)
        else:
            self.create(find_python())
        self.stage("pip (output: {})".format(self.log))
        self.pip("pip", "--constraint", self.constraints)
        self.stage("PyTorch and the other packages (downloads up to 3 GB)")
        self.pip(
            "--editable",
            ".[dev]",
            "--prefer-binary",
            "--only-binary=" + WHEELS_ONLY,
            "--constraint=" + self.constraints,
            "--build-constraint=" + self.constraints,
        )
        self.stage("detectron2")
        self.install_detectron2()
        write_text(self.unfinished, stamp_text(self.root))
        os.replace(self.unfinished, self.stamp)
        self.stage("the environment is ready in {}".format(self.folder))

    def create(self, python):
        """Make the folder anew, marked as unfinished until the stamp is written."""
        if os.path.isdir(self.folder):
            os.replace(self.folder, self.folder + ".old")
        shutil.rmtree(self.folder + ".old", ignore_errors=True)
        os.mkdir(self.folder)
        write_text(self.unfinished, "A set-up began here; the next `make` begins it again.\n")
        self.stage("virtual environment of {}".format(python))
        self.run(python, "-m", "venv", self.folder)

    def install_detectron2(self):
        """Install the wheel by its hash, into site-packages whatever Python its tag names."""
        requirement = os.path.join(self.folder, "detectron2-requirement.txt")
        write_text(requirement, "\n".join(hash_pinned(read_text(self.constraints))) + "\n")
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        target = subprocess.check_output([self.python, "-c", code]).decode().strip()
        self.pip(
            "--no-deps",
            "--only-binary=:all:",
            "--python-version=3.10",
            "--implementation=cp",
            "--upgrade",
            "--target=" + target,
            "--requirement=" + requirement,
        )

    def stage(self, text):
        """Report a step with the seconds since the start."""
        say("[{:4.0f} s] {}".format(time.time() - self.started, text))

    def pip(self, *arguments):
        """Run `pip install` inside the environment."""
        self.run(self.python, "-m", "pip", "install", "--no-input", *arguments)

    def run(self, *command):
        """Run one step, its output going to the log; show the log's end when it fails."""
        with open(self.log, "a+", encoding="utf-8", errors="replace") as log:
            log.write("\n$ {}\n".format(" ".join(command)))
            log.flush()
            start = log.tell()
            status = subprocess.call(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                close_fds=False,  # so that the lock outlives this process while pip goes on
            )
            log.seek(start)
            text = log.read()
        if status:
            say("\n".join(text.splitlines()[-LOG_TAIL_LINES:]))
            reason = checks.explain_failure(text, checks.has_compiler())
            raise SetupError("the set-up failed ({}): {}".format(self.log, reason))


def check_machine(root, own, own_version):
    """Return the interpreter to build with, after everything that can be known beforehand."""
    python = checks.find_python(own, own_version)
    checks.check_venv_module(python)
    checks.check_disk(root, checks.needed_gigabytes(sys.platform, os.environ))
    if not checks.has_compiler():
        say(checks.NO_COMPILER)
    return python


def prepare(root, dev):
    """Return the interpreter to use, after the set-up where one is due.

    Args:
        root: The checkout.
        dev: Whether the tools of `make test` and `make lint` are needed too.
    """
    environment = Environment(root)
    version = sys.version_info[:2]
    inside = os.path.realpath(sys.prefix) == os.path.realpath(environment.folder)
    ours = inside and not environment.is_foreign()
    if not ours and not checks.missing_modules(["detectron2"]):
        wanted = MODULES + (DEV_MODULES if dev else [])
        checks.check_existing_environment(version, checks.missing_modules(wanted))
        return sys.executable
    with only_one(environment.folder + ".lock"):
        if environment.is_foreign():
            ask_foreign(environment, inside)
        if not environment.is_current():
            own = getattr(sys, "_base_executable", sys.executable)
            environment.complete(lambda: check_machine(root, own, version))
    return environment.python


def ask_foreign(environment, inside):
    """Start again in a `.venv` that somebody else made: it may have detectron2 already."""
    if not inside and os.path.exists(environment.python):
        os.execv(environment.python, [environment.python, *sys.argv])
    raise SetupError(
        "{0} was not made by this set-up and has no detectron2, so it is left alone: move it away, "
        "or name another interpreter by `make PYTHON=...`".format(environment.folder)
    )


def main():
    """Prepare the environment and print its interpreter; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="need the tools of `make test` too")
    arguments = parser.parse_args()
    try:
        python = prepare(ROOT, arguments.dev)
    except (SetupError, OSError) as error:
        say("Error: {}".format(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted; the next `make` goes on")
        return 130
    sys.stdout.write(python + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
