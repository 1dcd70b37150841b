"""What the set-up needs from the machine, each with one clear sentence where it is missing.

Like bootstrap.py: Python 3.6 syntax, standard library only.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

TESTED_VERSIONS = ((3, 11), (3, 12))  # the pins have wheels for these, and the tests were run
OLDEST_VERSION = (3, 10)  # for an environment that exists already; as in setup.cfg
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

NO_COMPILER = (
    "No C compiler (cc, gcc, clang) was found: the set-up goes on, because the packages come "
    "compiled for common platforms; where one does not, install gcc"
)

FAILURES = (
    (
        "DO NOT MATCH THE HASHES",
        "a download differs from its hash in constraints.txt and was not installed: fetch it from "
        "another index, or find out who changed it",
    ),
    (
        "No space left on device",
        "the disk is full: free some space and run again",
    ),
    (
        r"(?i)connection ?error|name resolution|max retries exceeded|timed out|proxyerror"
        r"|network is unreachable|could not fetch url",
        "the package index could not be reached: check the network and pip's proxy settings, then "
        "run again",
    ),
    (
        "No matching distribution found",
        "the package index has no build of a pinned version for this platform: install detectron2 "
        "and its packages yourself and name that interpreter by `make PYTHON=...`",
    ),
)


class SetupError(Exception):
    """What stops the set-up, in one sentence that ends with the remedy."""


def say(text):
    """Write one line for the reader; standard output is kept for the interpreter's path."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def dotted(version):
    """Return (3, 11) as "3.11"."""
    return ".".join(str(part) for part in version)


def missing_modules(names):
    """Return those of the names that this interpreter cannot find, without importing them."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def check_existing_environment(version, missing):
    """Stop where the caller's own environment, which is never written to, lacks something."""
    if version < OLDEST_VERSION:
        raise SetupError(
            "{} has detectron2, but ACNet needs Python {} or newer; this is {}: name another "
            "interpreter by `make PYTHON=...`".format(
                sys.executable, dotted(OLDEST_VERSION), dotted(version)
            )
        )
    if missing:
        raise SetupError(
            "{0} has detectron2 and is used as it is, but lacks {1}: run `{0} -m pip install -e "
            "'.[dev]'`".format(sys.executable, ", ".join(missing))
        )


def interpreter_version(python):
    """Return (major, minor) of an interpreter, or None where it does not run."""
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    try:
        text = subprocess.check_output([python, "-c", code], stderr=subprocess.DEVNULL).decode()
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in text.split("."))


def find_python(own, own_version, which=shutil.which, version_of=interpreter_version):
    """Return a tested interpreter: the running one, or else one on PATH."""
    if own_version in TESTED_VERSIONS:
        return own
    for version in TESTED_VERSIONS:
        candidate = which("python" + dotted(version))
        if candidate and version_of(candidate) == version:
            return candidate
    raise SetupError(
        "Python {} is needed, because the pinned packages have been tested on it; this is {}: "
        "install it, or name it by `make PYTHON=/path/to/python{}`".format(
            " or ".join(map(dotted, TESTED_VERSIONS)),
            dotted(own_version),
            dotted(TESTED_VERSIONS[0]),
        )
    )


def check_venv_module(python):
    """Stop where the modules that make virtual environments were left out, as Debian does."""
    if subprocess.call([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL):
        raise SetupError(
            "{} lacks the modules venv and ensurepip, which make the environment: install them "
            "(Debian and Ubuntu: `apt install python{}-venv`)".format(
                python, dotted(interpreter_version(python))
            )
        )


def needed_gigabytes(platform, environ):
    """Return the free disk that an installation takes: far more where torch brings CUDA."""
    indexes = environ.get("PIP_INDEX_URL", "") + " " + environ.get("PIP_EXTRA_INDEX_URL", "")
    return 9 if platform.startswith("linux") and CPU_INDEX not in indexes else 3


def check_disk(folder, needed, usage=shutil.disk_usage):
    """Stop before a download that cannot fit."""
    free = usage(folder).free / 1e9
    if free < needed:
        raise SetupError(
            "{} GB of free disk are needed for PyTorch and the other packages; {} has {:.1f}: free "
            "some space, or, on a machine without a GPU, run again with PIP_EXTRA_INDEX_URL={} "
            "(3 GB)".format(needed, folder, free, CPU_INDEX)
        )


def has_compiler(which=shutil.which):
    """Tell whether a C compiler is on PATH."""
    return any(which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang"))


def explain_failure(log_text, compiler_found):
    """Return one sentence, ending with the remedy, for a failure of pip."""
    for pattern, sentence in FAILURES:
        if re.search(pattern, log_text):
            return sentence
    if not compiler_found:
        return "a package probably had to be compiled, and there is no C compiler: install gcc"
    return "the lines above say why: mend that and run again"
