"""The frame of the command line: exit codes and what reaches the user."""

import argparse
import subprocess
import sys

import pytest

import acnet
from acnet.cli import main as cli
from acnet.cli.main import command_modules
from acnet.errors import UserError


def run_with(monkeypatch: pytest.MonkeyPatch, run) -> int:
    """Run the command line with one sub-command, whose action is `run`."""
    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    monkeypatch.setattr(cli, "build_parser", lambda command: parser)
    return cli.main([])


def raiser(error: Exception):
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_the_status_of_the_subcommand_is_returned(monkeypatch) -> None:
    assert run_with(monkeypatch, lambda args: 0) == 0
    assert run_with(monkeypatch, lambda args: 7) == 7


def test_a_users_mistake_is_one_line_without_traceback(monkeypatch, capsys) -> None:
    assert run_with(monkeypatch, raiser(UserError("x.jpg is no photo: name another"))) == 2
    assert capsys.readouterr().err == "acnet: error: x.jpg is no photo: name another\n"


def test_a_missing_detectron2_names_the_remedy(monkeypatch, capsys) -> None:
    error = ModuleNotFoundError("No module named 'detectron2'", name="detectron2")
    assert run_with(monkeypatch, raiser(error)) == 2
    assert "`make env`" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ModuleNotFoundError(name="other"), ValueError("a bug")])
def test_a_bug_keeps_its_traceback(monkeypatch, error: Exception) -> None:
    with pytest.raises(type(error)):
        run_with(monkeypatch, raiser(error))


def test_version(capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"acnet {acnet.__version__}\n"


@pytest.mark.parametrize("words", [[], ["configs", "a\0b"], ["predict", "a", "--output", "b\0"]])
def test_no_command_and_a_null_character_are_told_in_one_line(capsys, words) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("acnet")
    assert line.endswith("--help")


def test_every_module_beside_main_is_a_command() -> None:
    assert {"data", "predict"} <= set(command_modules("acnet.cli"))
    assert "main" not in command_modules("acnet.cli")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_options(shell: str, capsys) -> None:
    pytest.importorskip("shtab", reason="needs the extra [completion]")
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert all(word in script for word in ("--engine", "onnxruntime", "toy-tests", "--image-root"))
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_completion_without_shtab_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--print-completion", "zsh"])
    assert capsys.readouterr().err.endswith("Install it: pip install shtab.\n")
