"""Prepare the Python environment once and print the interpreter to use.

Run by the Makefile, with any Python 3, so that an unsupported one gets a clear sentence: nothing
here is newer than Python 3.6 and nothing is imported but the standard library. Standard output is
one line, the interpreter; all else goes to standard error, and pip's output to a log.

1. An interpreter that already has detectron2 is used as it is; nothing is installed into it.
2. Otherwise `.venv` is made with the versions of constraints.txt. Its stamp, finished last, tells a
   finished environment from an interrupted one, and from one that the pins have outgrown.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys

TESTED = ("3.11", "3.12")  # the pins have wheels for these, and the tests were run
VENV, PYTHON = ".venv", os.path.join(".venv", "bin", "python")
LOG, STAMP = os.path.join(VENV, "bootstrap.log"), os.path.join(VENV, "bootstrap.stamp")
PINS, DETECTRON2 = "constraints.txt", "detectron2.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
MODULES = (
    "cv2 defusedxml ijson jinja2 numba numpy PIL pycocotools safetensors scipy simplejpeg torch "
    "torchvision"
)
DEV_MODULES = "faster_coco_eval hypothesis onnx onnxruntime onnxscript pytest ruff"
# A build of these from source takes hours, or tools that nobody has.
WHEELS = "grpcio,llvmlite,matplotlib,ml_dtypes,numba,numpy,onnx,onnxruntime,opencv-python-headless"
WHEELS += ",pillow,scipy,simplejpeg,torch,torchvision"
FAILURES = (
    (
        "DO NOT MATCH THE HASHES",
        "a download differs from its hash in detectron2.txt and was not installed: fetch it from "
        "another index, or find out who changed it",
    ),
    ("No space left on device", "the disk is full: free some space and run again"),
    (
        "(?i)connection ?error|name resolution|max retries|timed out|proxyerror|unreachable",
        "the package index could not be reached: check the network and pip's proxy settings, then "
        "run again",
    ),
    (
        "No matching distribution found",
        "the package index has no build of a pinned version for this platform: install detectron2 "
        "and its packages yourself, and name that interpreter by `make PYTHON=...`",
    ),
    ("", "the lines above say why; where a package had to be compiled, install gcc and run again"),
)


class SetupError(Exception):
    """What stops the set-up, in one sentence that ends with the remedy."""


def say(text):
    """Write a line for the reader; standard output is kept for the interpreter's path."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def read_text(path):
    """Return a file's text, or "" where there is no file."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_stamp(text):
    """Write the stamp so that it is either whole or not there."""
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(STAMP + ".new", STAMP)


def answer(python, code):
    """Return what an interpreter prints, or "" where it cannot."""
    try:
        return subprocess.check_output([python, "-c", code], stderr=subprocess.DEVNULL).decode()
    except (OSError, subprocess.CalledProcessError):
        return ""


def find_python():
    """Return a tested interpreter that can make environments: this one, or else one on PATH."""
    own = getattr(sys, "_base_executable", sys.executable)
    code = "import ensurepip, sys, venv; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    for python in [own] + [shutil.which("python" + version) for version in TESTED]:
        if python and answer(python, code) in TESTED:
            return python
    raise SetupError(
        "Python {0} with its module venv is needed, because the pinned packages have been tested "
        "on it; this is {1}: install it (Debian and Ubuntu: `apt install python{2} "
        "python{2}-venv`), or name it by `make PYTHON=/path/to/python{2}`".format(
            " or ".join(TESTED), "%d.%d" % sys.version_info[:2], TESTED[0]
        )
    )


def check_disk():
    """Stop before a download that cannot fit: a torch with CUDA takes far more than one without."""
    indexes = os.environ.get("PIP_INDEX_URL", "") + os.environ.get("PIP_EXTRA_INDEX_URL", "")
    needed = 9 if sys.platform.startswith("linux") and CPU_INDEX not in indexes else 3
    free = shutil.disk_usage(".").free / 1e9
    if free < needed:
        raise SetupError(
            "{} GB of free disk are needed for PyTorch and the other packages; {} has {:.1f}: free "
            "some space, or, on a machine without a GPU, run again with PIP_EXTRA_INDEX_URL={} "
            "(3 GB)".format(needed, os.getcwd(), free, CPU_INDEX)
        )


def run(*command):
    """Run one step, its output going to the log; show the log's end when it fails."""
    with open(LOG, "a+", encoding="utf-8", errors="replace") as log:
        start = log.tell()
        options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        # Descriptors stay open so that the lock outlives this process while pip goes on.
        status = subprocess.call(command, close_fds=False, **options)
        log.seek(start)
        text = log.read()
    if status:
        say("\n".join(text.splitlines()[-20:]))
        reason = next(reason for pattern, reason in FAILURES if re.search(pattern, text))
        raise SetupError("the set-up failed ({}): {}".format(LOG, reason))


def install(*arguments):
    """Run `pip install` inside the environment."""
    run(PYTHON, "-m", "pip", "install", "--no-input", "--prefer-binary", *arguments)


def install_detectron2():
    """Install the wheel by its hash, into site-packages whatever Python its tag names."""
    code = "import sys, sysconfig; sys.stdout.write(sysconfig.get_path('purelib'))"
    options = ["--no-deps", "--upgrade", "--only-binary=:all:", "--python-version=3.10"]
    options += ["--implementation=cp", "--target=" + answer(PYTHON, code)]
    install("--require-hashes", "--requirement=" + DETECTRON2, *options)


def make_environment(finished):
    """Make or update `.venv`; safe to interrupt at any moment and run again."""
    if not read_text(STAMP) or not answer(PYTHON, "print(1)"):
        python = find_python()
        check_disk()
        if os.path.isdir(VENV):
            os.replace(VENV, VENV + ".old")
        shutil.rmtree(VENV + ".old", ignore_errors=True)
        os.mkdir(VENV)
        write_stamp("")
        say("Making an environment of {} in {}".format(python, VENV))
        run(python, "-m", "venv", VENV)
    write_stamp("")
    say("Installing PyTorch and the other packages: up to 3 GB (output: {})".format(LOG))
    install("pip", "--constraint=" + PINS)
    pins = ("--constraint=" + PINS, "--build-constraint=" + PINS)
    install("--editable=.[dev]", "--only-binary=" + WHEELS, *pins)
    install_detectron2()
    write_stamp(finished)
    say("The environment is ready in {}".format(VENV))


def prepare(dev):
    """Return the interpreter to use, after the set-up of the current folder where one is due."""
    inside = os.path.realpath(sys.prefix) == os.path.realpath(VENV)
    foreign = os.path.isdir(VENV) and os.listdir(VENV) and not os.path.exists(STAMP)
    if importlib.util.find_spec("detectron2") and (foreign or not inside):
        names = (MODULES + " " + DEV_MODULES if dev else MODULES).split()
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        if sys.version_info < (3, 10) or missing:
            raise SetupError(
                "{0} has detectron2 and is used as it is, but lacks {1}: run `{0} -m pip install "
                "-e '.[dev]'`, or name another interpreter by `make PYTHON=...`".format(
                    sys.executable, ", ".join(missing) or "Python 3.10"
                )
            )
        return sys.executable
    if foreign:
        if answer(PYTHON, "import detectron2; print(1)"):
            return os.path.abspath(PYTHON)
        raise SetupError(
            "{} was not made by this set-up and has no detectron2, so it is left alone: move it "
            "away, or name another interpreter by `make PYTHON=...`".format(os.path.abspath(VENV))
        )
    import fcntl  # absent on Windows, where there is no make either

    with open(VENV + ".lock", "w") as lock:
        os.set_inheritable(lock.fileno(), True)
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second set-up waits for the first, and for its pip
        packages = read_text("setup.cfg").partition("[tool")[0]  # not the settings of the tests
        made_of = repr((os.getcwd(), packages, read_text(PINS), read_text(DETECTRON2)))
        finished = hashlib.sha256(made_of.encode()).hexdigest()
        if not os.path.exists(PYTHON) or read_text(STAMP) != finished:
            make_environment(finished)
    return os.path.abspath(PYTHON)


def main():
    """Prepare the environment and print its interpreter; return the exit status."""
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        sys.stdout.write(prepare(dev="--dev" in sys.argv[1:]) + "\n")
    except (SetupError, OSError) as error:
        say("Error: {}".format(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted; the next `make` goes on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
