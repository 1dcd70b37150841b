"""The set-up script: its sentences, its stamp and its hash check, without a real installation."""

import ast
import configparser
import hashlib
import re
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import bootstrap
import bootstrap_checks as checks
import pytest
from bootstrap_checks import SetupError

REPO_ROOT = Path(__file__).resolve().parents[1]
TESTED = checks.TESTED_VERSIONS[0]


@pytest.mark.parametrize("name", ["bootstrap.py", "bootstrap_checks.py"])
def test_any_python_3_can_read_the_scripts(name: str) -> None:
    source = (REPO_ROOT / "scripts" / name).read_text()
    ast.parse(source, feature_version=(3, 6))


# ---- interpreters


def test_a_tested_python_is_taken_without_looking_further() -> None:
    assert checks.find_python("/usr/bin/python3", TESTED, which=None) == "/usr/bin/python3"


def test_another_python_is_looked_for_on_path() -> None:
    found = checks.find_python(
        "/usr/bin/python3", (3, 9), which="/opt/bin/{}".format, version_of=lambda path: TESTED
    )
    assert found == "/opt/bin/python3.11"


def test_a_python_on_path_that_does_not_run_is_no_python() -> None:
    with pytest.raises(SetupError, match=r"Python 3\.11 or 3\.12 is needed.*this is 3\.9.*PYTHON="):
        checks.find_python(
            "/usr/bin/python3", (3, 9), which="/shims/{}".format, version_of=lambda path: None
        )


def test_interpreter_version_of_this_one_and_of_none() -> None:
    assert checks.interpreter_version(sys.executable) == sys.version_info[:2]
    assert checks.interpreter_version("/nowhere/python3") is None
    assert checks.interpreter_version(shutil.which("false")) is None


def test_a_python_without_venv_names_the_package_to_install(monkeypatch) -> None:
    monkeypatch.setattr(checks.subprocess, "call", lambda *args, **kwargs: 0)
    checks.check_venv_module(sys.executable)
    monkeypatch.setattr(checks.subprocess, "call", lambda *args, **kwargs: 1)
    with pytest.raises(SetupError, match=r"lacks the modules venv .*apt install python3\.\d+-venv"):
        checks.check_venv_module(sys.executable)


def test_an_existing_environment_is_complete_or_told_what_it_lacks() -> None:
    checks.check_existing_environment((3, 10), [])
    with pytest.raises(SetupError, match=r"lacks cv2, pytest: run .* -m pip install"):
        checks.check_existing_environment((3, 11), ["cv2", "pytest"])
    with pytest.raises(SetupError, match=r"needs Python 3\.10 or newer; this is 3\.8"):
        checks.check_existing_environment((3, 8), [])


def test_missing_modules_keeps_the_order() -> None:
    assert checks.missing_modules(["zzz_none", "sys", "aaa_none"]) == ["zzz_none", "aaa_none"]


def test_oldest_version_is_that_of_the_package() -> None:
    oldest = read_setup_cfg()["options"]["python_requires"]
    assert oldest == ">=" + checks.dotted(checks.OLDEST_VERSION)


# ---- the machine


def test_disk_is_checked_before_the_download() -> None:
    checks.check_disk("/", 9, usage=lambda folder: SimpleNamespace(free=9e9))
    with pytest.raises(SetupError, match=r"9 GB of free disk are needed.*/home has 8\.9: free"):
        checks.check_disk("/home", 9, usage=lambda folder: SimpleNamespace(free=8.9e9))


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, 9),
        ("linux", {"PIP_EXTRA_INDEX_URL": checks.CPU_INDEX}, 3),
        ("linux", {"PIP_INDEX_URL": "https://example.org/simple"}, 9),
        ("darwin", {}, 3),
    ],
)
def test_a_torch_without_cuda_needs_less_disk(platform, environ, expected) -> None:
    assert checks.needed_gigabytes(platform, environ) == expected


def test_any_compiler_counts(monkeypatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    assert checks.has_compiler(which={"clang": "/usr/bin/clang"}.get)
    assert not checks.has_compiler(which={}.get)


def test_no_compiler_is_a_warning_and_no_error(monkeypatch, capsys) -> None:
    monkeypatch.setattr(checks, "has_compiler", lambda: False)
    monkeypatch.setattr(checks, "check_disk", lambda folder, needed: None)
    monkeypatch.setattr(checks, "check_venv_module", lambda python: None)
    assert bootstrap.check_machine("/", sys.executable, TESTED) == sys.executable
    assert capsys.readouterr().err == checks.NO_COMPILER + "\n"


@pytest.mark.parametrize(
    ("log", "compiler_found", "expected"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", True, "differs from its hash"),
        ("OSError: [Errno 28] No space left on device", True, "disk is full"),
        ("NewConnectionError: [Errno 111] Connection refused", True, "could not be reached"),
        ("Temporary failure in name resolution", False, "could not be reached"),
        ("ERROR: No matching distribution found for torch==2", True, "no build of a pinned"),
        ("error: command 'cc' failed", False, "there is no C compiler: install gcc"),
        ("error: something else", True, "the lines above say why"),
    ],
)
def test_a_failure_of_pip_is_one_sentence(log, compiler_found, expected) -> None:
    assert expected in checks.explain_failure(log, compiler_found)


# ---- pins


def read_setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(REPO_ROOT / "setup.cfg")
    return parser


def normalised(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")


def test_every_requirement_is_pinned() -> None:
    setup_cfg = read_setup_cfg()
    wanted = setup_cfg["options"]["install_requires"] + setup_cfg["options.extras_require"]["dev"]
    pins = (REPO_ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normalised(line) for line in pins if re.match(r"\w.*==", line)}
    requirements = {normalised(line) for line in wanted.split("\n") if re.match(r"\w", line)}
    assert requirements - pinned == set()


def test_constraints_pin_detectron2_by_its_hash() -> None:
    (line,) = bootstrap.hash_pinned((REPO_ROOT / "constraints.txt").read_text())
    assert re.fullmatch(r"sal-detectron2==0\.7\.2 --hash=sha256:[0-9a-f]{64}", line)


@pytest.mark.parametrize("text", ["", "# hash-pinned: x==1\n", "# hash-pinned: x --hash=sha256:0"])
def test_a_pin_without_hash_is_an_error(text: str) -> None:
    with pytest.raises(SetupError, match=r"must pin detectron2's wheel.*restore the line"):
        bootstrap.hash_pinned(text)


# ---- the environment


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with what the stamp is made of."""
    for name in ("constraints.txt", "setup.cfg", "pyproject.toml"):
        shutil.copy(REPO_ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def environment(checkout: Path, monkeypatch) -> bootstrap.Environment:
    """Return an environment whose steps do nothing but make the interpreter's file."""
    made = bootstrap.Environment(str(checkout))
    made.steps = []

    def run(*command: str) -> None:
        made.steps.append(command)
        if "venv" in command:
            (checkout / ".venv" / "bin").mkdir()
            (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr(made, "run", run)
    return made


def test_a_finished_environment_is_recognised(environment) -> None:
    assert not environment.is_current()
    environment.complete(lambda: sys.executable)
    assert environment.is_current()
    assert not environment.is_foreign()
    made, pip, packages, detectron2 = environment.steps
    assert made[1:] == ("-m", "venv", environment.folder)
    assert "pip" in pip[5:]
    assert "--editable" in packages
    assert "--no-deps" in detectron2


def test_changed_pins_update_the_environment_in_place(environment, checkout: Path) -> None:
    environment.complete(lambda: sys.executable)
    with (checkout / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    assert not environment.is_current()
    environment.steps.clear()
    environment.complete(find_python=None)  # the environment keeps the Python it was made with
    assert environment.is_current()
    assert not any("venv" in step for step in environment.steps)


def test_settings_of_the_tests_are_no_reason_to_install(environment, checkout: Path) -> None:
    environment.complete(lambda: sys.executable)
    setup_cfg = checkout / "setup.cfg"
    setup_cfg.write_text(setup_cfg.read_text() + "\n[tool:other]\nx = 1\n")
    assert environment.is_current()
    setup_cfg.write_text(setup_cfg.read_text().replace("pycocotools", "pycocotools\n    lvis"))
    assert not environment.is_current()


def test_an_interrupted_setup_begins_again(environment, checkout: Path, monkeypatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "install_detectron2", interrupt)
        with pytest.raises(KeyboardInterrupt):
            environment.complete(lambda: sys.executable)
    (checkout / ".venv" / "half-written").touch()
    assert not environment.is_current()
    assert not environment.is_foreign()
    environment.complete(lambda: sys.executable)
    assert environment.is_current()
    assert not (checkout / ".venv" / "half-written").exists()


def test_an_environment_without_its_python_is_made_anew(environment) -> None:
    environment.complete(lambda: sys.executable)
    Path(environment.python).unlink()
    assert not environment.is_current()
    environment.complete(lambda: sys.executable)
    assert environment.is_current()


def test_a_checkout_that_moved_is_not_current(environment, checkout: Path) -> None:
    environment.complete(lambda: sys.executable)
    moved = checkout.rename(checkout.with_name("moved"))
    assert not bootstrap.Environment(str(moved)).is_current()


def test_a_folder_of_somebody_else_is_left_alone(checkout: Path, monkeypatch) -> None:
    (checkout / ".venv").mkdir()
    assert not bootstrap.Environment(str(checkout)).is_foreign()
    (checkout / ".venv" / "theirs").touch()
    monkeypatch.setattr(checks, "missing_modules", lambda names: names)
    with pytest.raises(SetupError, match=r"was not made by this set-up .* left alone"):
        bootstrap.prepare(str(checkout), dev=True)
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["theirs"]


def test_a_failed_step_shows_the_end_of_its_output(checkout: Path, capfd) -> None:
    (checkout / ".venv").mkdir()
    environment = bootstrap.Environment(str(checkout))
    code = "import sys; print(*range(100), sep='\\n'); sys.exit('No space left on device')"
    with pytest.raises(SetupError, match=r"bootstrap\.log\): the disk is full"):
        environment.run(sys.executable, "-c", code)
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == bootstrap.LOG_TAIL_LINES
    assert "99" in err.splitlines()


def test_a_second_setup_waits_for_the_first(tmp_path: Path, capfd) -> None:
    order = []

    def second() -> None:
        with bootstrap.only_one(str(tmp_path / "lock")):
            order.append("second")

    thread = threading.Thread(target=second)
    with bootstrap.only_one(str(tmp_path / "lock")):
        thread.start()
        thread.join(timeout=0.3)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert "Waiting for another set-up" in capfd.readouterr().err


# ---- the wheel with a hash


@pytest.fixture
def wheel_environment(checkout: Path, monkeypatch) -> bootstrap.Environment:
    """Return a real but empty environment that sees pip, and one wheel tagged for Python 3.10."""
    site_packages = Path(pytest.importorskip("pip").__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(site_packages))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(checkout))
    venv.create(checkout / ".venv", with_pip=False)
    with zipfile.ZipFile(checkout / "tiny-1.0-cp310-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "")
        metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
        wheel.writestr("tiny-1.0.dist-info/METADATA", metadata)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp310-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return bootstrap.Environment(str(checkout))


def pin_tiny(checkout: Path, digest: str) -> None:
    line = f"# hash-pinned: tiny==1.0 --hash=sha256:{digest}\n"
    (checkout / "constraints.txt").write_text(line)


def test_the_wheel_is_installed_by_its_hash(wheel_environment, checkout: Path) -> None:
    wheel = (checkout / "tiny-1.0-cp310-none-any.whl").read_bytes()
    pin_tiny(checkout, hashlib.sha256(wheel).hexdigest())
    wheel_environment.install_detectron2()
    code = "import tiny, sys; sys.exit(not tiny.__file__.startswith(sys.prefix))"
    subprocess.run([wheel_environment.python, "-c", code], check=True)


def test_a_wheel_with_another_hash_is_refused(wheel_environment, checkout: Path, capfd) -> None:
    pin_tiny(checkout, "0" * 64)
    with pytest.raises(SetupError, match=r"differs from its hash in constraints\.txt"):
        wheel_environment.install_detectron2()
    assert list((checkout / ".venv").rglob("tiny*")) == []
    assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err


# ---- the command


def test_standard_output_is_the_interpreter_and_nothing_else(checkout: Path) -> None:
    pytest.importorskip("detectron2")
    shutil.copytree(REPO_ROOT / "scripts", checkout / "scripts")
    command = [sys.executable, checkout / "scripts" / "bootstrap.py", "--dev"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == sys.executable + "\n"
    assert done.stderr == ""
    assert not (checkout / ".venv").exists()


def test_make_help_lists_every_command() -> None:
    makefile = (REPO_ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=REPO_ROOT, capture_output=True, text=True)
    assert re.findall(r"make ([a-z-]+) ", shown.stdout) == targets
    assert {"demo", "test", "lint"} <= set(targets)
