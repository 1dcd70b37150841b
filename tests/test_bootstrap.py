"""The set-up script: its sentences, its stamp and its hash check, without a real installation."""

import ast
import configparser
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import bootstrap
import pytest
from bootstrap import SetupError

REPO_ROOT = Path(__file__).resolve().parents[1]


def test_any_python_3_can_read_the_script() -> None:
    ast.parse((REPO_ROOT / "scripts" / "bootstrap.py").read_text(), feature_version=(3, 6))


# ---- the machine


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"own": "3.12"}, "own"),
        ({"own": "3.9", "/opt/bin/python3.11": "3.11"}, "/opt/bin/python3.11"),
        ({"own": "3.12", "/opt/bin/python3.11": "3.11"}, "own"),  # without looking further
        ({}, None),  # or one without the module venv
    ],
)
def test_a_tested_python_is_taken_or_one_sentence_says_so(monkeypatch, there, expected) -> None:
    monkeypatch.setattr(bootstrap.sys, "_base_executable", "own")
    monkeypatch.setattr(bootstrap, "answer", lambda python, code: there.get(python, ""))
    monkeypatch.setattr(bootstrap.shutil, "which", "/opt/bin/{}".format)
    if expected is not None:
        assert bootstrap.find_python() == expected
        return
    with pytest.raises(SetupError, match=r"3\.11 or 3\.12 with its module venv .*-venv.*PYTHON="):
        bootstrap.find_python()


def test_what_an_interpreter_answers() -> None:
    assert bootstrap.answer(sys.executable, "print(3)") == "3\n"
    assert bootstrap.answer("/nowhere/python3", "print(3)") == ""
    assert bootstrap.answer(sys.executable, "import nothing_of_this_name") == ""


@pytest.mark.parametrize(
    ("platform", "index", "needed"),
    [("linux", "", 9), ("linux", bootstrap.CPU_INDEX, 3), ("darwin", "", 3)],
)
def test_disk_is_checked_before_the_download(monkeypatch, platform, index, needed) -> None:
    monkeypatch.setattr(bootstrap.sys, "platform", platform)
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
    free = SimpleNamespace(free=needed * 1e9)
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda folder: free)
    bootstrap.check_disk()
    free.free -= 1e8
    with pytest.raises(SetupError, match=rf"{needed} GB of free disk are needed.* has \d\.9: free"):
        bootstrap.check_disk()


# ---- pins


def normalised(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")


def test_every_requirement_is_pinned_and_the_modules_looked_for_are_requirements() -> None:
    setup_cfg = configparser.ConfigParser()
    setup_cfg.read(REPO_ROOT / "setup.cfg")
    pins = (REPO_ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normalised(line) for line in pins if re.match(r"\w.*==", line)}
    names = {"cv2": "opencv-python-headless", "PIL": "pillow"}
    for modules, wanted in (
        (bootstrap.MODULES, setup_cfg["options"]["install_requires"]),
        (bootstrap.DEV_MODULES, setup_cfg["options.extras_require"]["dev"]),
    ):
        requirements = {normalised(line) for line in wanted.split("\n") if re.match(r"\w", line)}
        assert requirements <= pinned
        packages = {names.get(name, name.replace("_", "-")) for name in modules.split()}
        assert packages <= requirements
    assert setup_cfg["options"]["python_requires"] == ">=3.10"


# ---- the environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch) -> Path:
    """Return a folder with what the stamp is made of; it is the current one."""
    for name in ("constraints.txt", "detectron2.txt", "setup.cfg", "pyproject.toml"):
        shutil.copy(REPO_ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bootstrap, "check_disk", lambda: None)
    monkeypatch.setattr(bootstrap, "find_python", lambda: sys.executable)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(  # this interpreter has detectron2, a user's has not
        importlib.util, "find_spec", lambda name: name != "detectron2" and find_spec(name)
    )
    return tmp_path


@pytest.fixture
def steps(checkout: Path, monkeypatch) -> list:
    """Let the steps do nothing but make the interpreter's file, and return those that were done."""
    done = []

    def run(*command: str) -> None:
        done.append(command)
        if "venv" in command:
            (checkout / ".venv" / "bin").mkdir()
            (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr(bootstrap, "run", run)
    return done


def test_an_environment_is_made_once_and_changed_pins_update_it(steps, checkout: Path) -> None:
    assert bootstrap.prepare(dev=True) == str(checkout / ".venv" / "bin" / "python")
    made, pip, packages, detectron2 = steps
    assert made[1:] == ("-m", "venv", ".venv")
    assert "pip" in pip[5:]
    assert "--editable=.[dev]" in packages
    assert "--no-deps" in detectron2
    pin = (checkout / "detectron2.txt").read_text()
    assert re.search(r"^sal-detectron2==0\.7\.2 --hash=sha256:[0-9a-f]{64}$", pin, re.MULTILINE)
    for name, old, new, number in (
        ("setup.cfg", "", "", 0),
        ("setup.cfg", "[tool", "[tool:other]\nx = 1\n[tool", 0),  # settings of the tests
        ("setup.cfg", "pycocotools", "pycocotools\n    lvis", 3),  # with the Python it has
        ("constraints.txt", "# ", "# changed ", 3),
        ("detectron2.txt", "# ", "# changed ", 3),
    ):
        steps.clear()
        file = checkout / name
        file.write_text(file.read_text().replace(old, new, 1))
        bootstrap.prepare(dev=True)
        assert len(steps) == number
        assert not any("venv" in step for step in steps)


def test_an_environment_that_was_interrupted_lost_its_python_or_moved_is_made_anew(
    steps, checkout: Path, monkeypatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "install_detectron2", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bootstrap.prepare(dev=True)
    (checkout / ".venv" / "half-written").touch()
    bootstrap.prepare(dev=True)
    assert not (checkout / ".venv" / "half-written").exists()
    assert sum("venv" in step for step in steps) == 2
    (checkout / ".venv" / "bin" / "python").unlink()
    bootstrap.prepare(dev=True)
    assert sum("venv" in step for step in steps) == 3
    steps.clear()
    monkeypatch.chdir(checkout.rename(checkout.with_name("moved")))
    bootstrap.prepare(dev=True)
    assert len(steps) == 3


def test_a_folder_of_somebody_else_is_left_alone(steps, checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "theirs").touch()
    with pytest.raises(SetupError, match=r"was not made by this set-up .* left alone"):
        bootstrap.prepare(dev=True)
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["theirs"]
    (checkout / ".venv" / "bin").mkdir()
    theirs = checkout / ".venv" / "bin" / "python"  # it has detectron2
    theirs.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    theirs.chmod(0o755)
    assert bootstrap.prepare(dev=True) == str(theirs)
    assert steps == []


def test_an_existing_environment_is_told_what_it_lacks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # in a checkout this interpreter may be the set-up's own
    assert bootstrap.prepare(dev=True) == sys.executable
    monkeypatch.setattr(bootstrap, "MODULES", "sys zzz_none")
    monkeypatch.setattr(bootstrap, "DEV_MODULES", "aaa_none")
    with pytest.raises(SetupError, match=r"lacks zzz_none: run .* -m pip install"):
        bootstrap.prepare(dev=False)
    with pytest.raises(SetupError, match=r"lacks zzz_none, aaa_none: run"):
        bootstrap.prepare(dev=True)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "differs from its hash"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("NewConnectionError: [Errno 111] Connection refused", "could not be reached"),
        ("Temporary failure in name resolution", "could not be reached"),
        ("ERROR: No matching distribution found for torch==2", "no build of a pinned"),
        ("error: command 'cc' failed", "had to be compiled, install gcc"),
    ],
)
def test_a_failed_step_shows_the_end_of_its_output_and_one_sentence(
    checkout: Path, capfd, log, expected
) -> None:
    (checkout / ".venv").mkdir()
    code = f"import sys; print(*range(100), sep='\\n'); sys.exit({log!r})"
    with pytest.raises(SetupError, match=rf"bootstrap\.log\): .*{expected}"):
        bootstrap.run(sys.executable, "-c", code)
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 20
    assert "99" in err.splitlines()


def test_a_second_setup_waits_for_the_first(steps, monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    make = bootstrap.make_environment

    def slow(finished: str) -> None:
        begun.set()
        assert go_on.wait(30)
        make(finished)

    monkeypatch.setattr(bootstrap, "make_environment", slow)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(bootstrap.prepare, True) for _ in range(2)]
        assert begun.wait(30)
        go_on.set()
        assert both[0].result(30) == both[1].result(30)
    assert len(steps) == 4  # the second found it finished


# ---- the wheel with a hash


@pytest.fixture
def wheel(checkout: Path, monkeypatch) -> Path:
    """Make a real but empty environment that sees pip, and return a wheel tagged for 3.10."""
    site_packages = Path(pytest.importorskip("pip").__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(site_packages))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(checkout))
    venv.create(checkout / ".venv", with_pip=False)
    path = checkout / "tiny-1.0-cp310-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
        archive.writestr("tiny-1.0.dist-info/METADATA", metadata)
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp310-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return path


def test_the_wheel_is_installed_by_its_hash_alone(wheel: Path, capfd) -> None:
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for text, fault in (
        ("", "Hashes are required"),
        ("--hash=sha256:" + "0" * 64, "differs from its hash in detectron2.txt"),
        ("--hash=sha256:" + right, ""),
    ):
        Path("detectron2.txt").write_text(f"tiny==1.0 {text}\n")
        if fault:
            with pytest.raises(SetupError) as error:
                bootstrap.install_detectron2()
            assert fault in str(error.value) + capfd.readouterr().err
            assert list(Path(".venv").rglob("tiny*")) == []
    bootstrap.install_detectron2()
    code = "import tiny, sys; sys.exit(not tiny.__file__.startswith(sys.prefix))"
    subprocess.run([bootstrap.PYTHON, "-c", code], check=True)


# ---- the command


def test_standard_output_is_the_interpreter_and_nothing_else(tmp_path: Path) -> None:
    shutil.copytree(REPO_ROOT / "scripts", tmp_path / "scripts")
    command = [sys.executable, tmp_path / "scripts" / "bootstrap.py", "--dev"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == sys.executable + "\n"
    assert done.stderr == ""
    assert not (tmp_path / ".venv").exists()


def test_make_help_lists_every_command() -> None:
    makefile = (REPO_ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=REPO_ROOT, capture_output=True, text=True)
    assert re.findall(r"make ([a-z-]+) ", shown.stdout) == targets
    assert {"demo", "test", "lint"} <= set(targets)
