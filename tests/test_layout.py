"""Rules for the content of a file that no linter knows, checked on the syntax tree of every file.

Each rule maps a tree to the lines that break it. The first test of each pair shows the rule a
breach and a permitted neighbour, the second applies it to the package.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acnet.cli.main import command_modules

REPO_ROOT = Path(__file__).resolve().parents[1]
CONFIGS = REPO_ROOT / "projects" / "ACNet" / "configs"
Rule = Callable[[ast.AST], Iterator[int]]


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and full name of each module that is imported absolutely."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module


def lambdas(tree: ast.AST) -> Iterator[int]:
    """A lambda makes the saved config.yaml unreadable."""
    return (node.lineno for node in ast.walk(tree) if isinstance(node, ast.Lambda))


def absolute_config_imports(tree: ast.AST) -> Iterator[int]:
    """An absolute import is cached, so what one config changes leaks into the next."""
    names = {"projects", "configs", *(path.stem for path in CONFIGS.rglob("*"))}
    names -= {"acnet"}  # toy/table2/acnet is named after the package, which may be imported
    return (line for line, module in imported_modules(tree) if module.split(".")[0] in names)


def unsafe_loads(tree: ast.AST) -> Iterator[int]:
    """`torch.load` runs code from the file unless it is told not to."""
    for call in calls(tree):
        safe = any(
            keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True"
            for keyword in call.keywords
        )
        if ast.unparse(call.func) == "torch.load" and not safe:
            yield call.lineno


def device_literals(tree: ast.AST) -> Iterator[int]:
    """Naming a device ties the code to one machine; comparing with its type does not."""
    compared = {
        operand
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for operand in (node.left, *node.comparators)
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.split(":")[0] == "cuda" and node not in compared:
            yield node.lineno
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".cuda"):
            yield node.lineno


RULES = [
    (lambdas, "x = lambda: 0", "def x(): return 0"),
    (absolute_config_imports, "from common.train import train", "from ..common.train import train"),
    (absolute_config_imports, "import projects.ACNet", "from detectron2.config import LazyCall"),
    (unsafe_loads, "torch.load(path)", "torch.load(path, weights_only=True)"),
    (unsafe_loads, "torch.load(path, weights_only=False)", "json.load(path)"),
    (device_literals, "x.to('cuda:0')", "x.device.type == 'cuda'"),
    (device_literals, "x.cuda()", "torch.cuda.is_available()"),
]


@pytest.mark.parametrize(("rule", "breach", "permitted"), RULES)
def test_rules_catch_a_breach(rule: Rule, breach: str, permitted: str) -> None:
    assert list(rule(ast.parse(f"\n{breach}\n"))) == [2]
    assert list(rule(ast.parse(permitted))) == []


PYTHON_FILES = {
    "projects/ACNet/configs": sorted(CONFIGS.rglob("*.py")),
    "all": sorted(
        path
        for folder in ("acnet", "projects", "scripts", "datasets", "benchmarks")
        for path in (REPO_ROOT / folder).rglob("*.py")
    ),
}
RESOLVES_DEVICES = {"acnet/engine/precision.py"}  # the one place where "auto" becomes a device


@pytest.mark.parametrize(
    ("rule", "scope"),
    [
        (lambdas, "projects/ACNet/configs"),
        (absolute_config_imports, "projects/ACNet/configs"),
        (unsafe_loads, "all"),
        (device_literals, "all"),
    ],
)
def test_the_code_keeps_the_rules(rule: Rule, scope: str) -> None:
    assert PYTHON_FILES[scope], f"no files in {scope}"
    breaches = []
    for path in PYTHON_FILES[scope]:
        name = path.relative_to(REPO_ROOT).as_posix()
        if rule is device_literals and name in RESOLVES_DEVICES:
            continue
        breaches += [f"{name}:{line}" for line in rule(ast.parse(path.read_text()))]
    assert breaches == [], rule.__doc__


COMMANDS = ["", "export", *command_modules("acnet.cli")]
COMMANDS += [f"data {name}" for name in ("check", "import", "split", "tile", "toy", "toy-tests")]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_instant_because_it_imports_nothing_heavy(run_code, command: str) -> None:
    words = [*command.split(), "--help"]
    code = f"from acnet.cli.main import main\ntry: main({words!r})\nexcept SystemExit: pass"
    shown, imported = run_code(code)
    assert shown.startswith("usage: acnet")
    assert imported.isdisjoint({"cv2", "detectron2", "torch"})
    assert command != "train" or "numpy" not in imported
