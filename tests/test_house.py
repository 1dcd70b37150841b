"""The rules of the house that CONTRIBUTING.md states, checked on the files and on the import graph.

    ground <- evaluation <- photos <- data <- visualization
    ground <- layers <- modeling <- checkpoint <- engine <- export <- inference <- cli

`tests/test_layout.py` has the rules about the content of single files.
"""

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((REPO_ROOT / "acnet").rglob("*.py"))
MOST_FILES, LONGEST_FILE, LEAST_MEDIAN = 160, 350, 150

GROUND = {"errors", "files", "file_names", "constructors", "value_kinds", "safe_config"}
GROUND |= {"config", "templates"}
# Each package, and those that it may import besides the ground and itself. A package that stands
# higher may be imported by none that stands lower, also not inside a function.
LAYERS = {
    **{module: set() for module in GROUND},
    "layers": set(),
    "evaluation": set(),
    "photos": {"evaluation"},
    "data": {"evaluation", "photos"},
    "modeling": {"layers"},
    "checkpoint": {"evaluation", "modeling"},
    "engine": {"checkpoint", "data", "evaluation", "layers", "modeling"},
    "export": {"checkpoint", "data", "engine", "evaluation", "layers", "modeling", "photos"},
    "visualization": {"data", "evaluation", "photos"},
    "integrations": {"inference", "photos"},
}
LAYERS["inference"] = LAYERS["export"] | {"export"}
LAYERS["cli"] = set(LAYERS)
TOP = "acnet"  # acnet/__init__.py, which imports its public names when they are used


def module_name(path: Path) -> str:
    parts = path.relative_to(REPO_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE}


def runtime_imports(tree: ast.AST, *, nested: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are executed: on import of the module, or also in its functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif nested or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from runtime_imports(node, nested=nested)


def imported_names(module: str, node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = module.split(".")
    if MODULES.get(module, Path()).name != "__init__.py":
        base = base[:-1]
    parent = ".".join(base[: len(base) - node.level + 1]) if node.level else ""
    stem = ".".join(filter(None, [parent, node.module]))
    return [f"{stem}.{alias.name}" for alias in node.names]


def owner(name: str) -> str | None:
    """Return the module of the package that holds a dotted name."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


@cache
def graph(*, nested: bool) -> dict[str, set[str]]:
    """Return what each module of the package imports from the package."""
    edges = {}
    for module, path in MODULES.items():
        nodes = runtime_imports(ast.parse(path.read_text()), nested=nested)
        found = {owner(name) for node in nodes for name in imported_names(module, node)}
        edges[module] = found - {None, module}
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Return the nodes of a circle, or none where there is no circle."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else TOP


def package_graph() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for module, others in graph(nested=True).items():
        package = package_of(module)
        edges.setdefault(package, set()).update(map(package_of, others))
    return {package: others - {package, TOP} for package, others in edges.items()}


def test_no_two_modules_import_each_other() -> None:
    edges = {module: others - {TOP} for module, others in graph(nested=False).items()}
    for package in [name for name in edges if MODULES[name].name == "__init__.py"]:
        # A package that gathers the names of its own modules is no circle with them.
        edges[package] = {name for name in edges[package] if not name.startswith(f"{package}.")}
    assert circle(edges) == []


def test_no_two_packages_import_each_other_and_every_one_has_its_layer() -> None:
    edges = package_graph()
    edges.pop(TOP)
    assert circle(edges) == []
    assert set(edges) <= set(LAYERS)


@pytest.mark.parametrize("package", [name for name in LAYERS if name in package_graph()])
def test_layers_point_one_way(package: str) -> None:
    allowed = LAYERS[package] | GROUND | {package}
    breaches = [
        f"{module} imports {other}"
        for module, others in graph(nested=True).items()
        if package_of(module) == package
        for other in sorted(others)
        if package_of(other) not in allowed | {TOP}
    ]
    assert breaches == []


def test_layers_know_tensors_and_nothing_of_detectron2() -> None:
    libraries = {"acnet", "numba", "numpy", "torch", "torchvision", "triton"}
    allowed = libraries | sys.stdlib_module_names
    for module, path in MODULES.items():
        nodes = runtime_imports(ast.parse(path.read_text()), nested=True)
        roots = {name.split(".")[0] for node in nodes for name in imported_names(module, node)}
        assert "projects" not in roots, f"{module} imports a project, which is not in the wheel"
        assert package_of(module) != "layers" or roots <= allowed, module


def test_module_names_are_unique_and_none_is_private() -> None:
    # A module of the command line is named after its command, so it does not count.
    counted = [path for path in PACKAGE if path.stem != "__init__" and path.parent.name != "cli"]
    names = Counter(path.stem for path in counted)
    assert [name for name, count in names.items() if count > 1] == []
    assert [path.name for path in PACKAGE if re.match(r"_[^_]", path.name)] == []


def test_files_are_chapters() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in PACKAGE}
    too_long = {module_name(path): n for path, n in lines.items() if n > LONGEST_FILE}
    assert too_long == {}
    chapters = [n for path, n in lines.items() if path.name != "__init__.py"]
    assert statistics.median(chapters) >= LEAST_MEDIAN
    assert len(lines) <= MOST_FILES


@pytest.mark.parametrize(
    "code",
    [
        "import acnet; assert 'Predictor' in dir(acnet)",
        "from acnet.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
    ids=["import acnet", "acnet --help"],
)
def test_it_starts_at_once(run_code, code: str) -> None:
    runs = [run_code(f"{code}\nimport time; print(time.process_time())") for _ in range(3)]
    assert runs[0][1].isdisjoint({"cv2", "detectron2", "numpy", "torch"})
    assert min(float(output.splitlines()[-1]) for output, _ in runs) < 0.3


# detectron2's catalogs, loader and evaluation loop are what these are for.
FOR_DETECTRON2 = {
    "acnet.data.register",
    "acnet.data.scale_jitter",
    "acnet.data.tiles.mapper",
    "acnet.evaluation.evaluator",
}


@pytest.mark.parametrize("package", ["acnet.photos", "acnet.evaluation", "acnet.data"])
def test_the_ground_imports_neither_torch_nor_detectron2(run_code, package: str) -> None:
    modules = {name for name in MODULES if name == package or name.startswith(f"{package}.")}
    modules = sorted(modules - FOR_DETECTRON2)
    assert modules, f"there is no {package}"
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
    absent = {"detectron2", "torch", *(["numba", "scipy"] if package == "acnet.photos" else [])}
    assert run_code(code)[1].isdisjoint(absent)


# A path as comments and documents write it, from the root of the repository. Runs, data and results
# of the user are not in the repository, so other suffixes are not looked at.
CITED = re.compile(
    r"(?<![\w./*{<-])((?:acnet|benchmarks|docs|projects|scripts|tests|weights)/"
    r"(?:[\w-]+/)*(?:[\w-]+\.(?:py|md|css|js|j2|jpg|png)(?!\w)|[\w-]+(?=[\s`),:;])))"
)
ONLY_IN_A_WHEEL = {"acnet/configs", "acnet/peers", "acnet/weights"}
FOLDERS = ("acnet", "benchmarks", "docs", "projects", "scripts", "tests", "weights", "datasets")
TEXTS = sorted(
    path
    for path in (
        *REPO_ROOT.glob("*.*"),
        *(path for name in FOLDERS for path in (REPO_ROOT / name).rglob("*.*")),
    )
    if path.suffix in {".py", ".md", ".cfg", ".toml"}
)


def prose(path: Path) -> str:
    """Return all of a document, and of Python the comments and docstrings."""
    text = path.read_text()
    if path.suffix != ".py":
        return text
    parts = re.findall(r"#.*", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            parts.append(ast.get_docstring(node) or "")
    return "\n".join(parts)


def missing_paths(text: str) -> list[str]:
    return sorted(
        path
        for path in set(CITED.findall(text)) - ONLY_IN_A_WHEEL
        if not any(word.isupper() for word in re.split(r"[/.]", path))  # a placeholder
        and not (REPO_ROOT / path).exists()
        and not (REPO_ROOT / f"{path}.py").exists()
    )


def test_cited_paths_exist() -> None:
    said = "see acnet/no_such.py, docs/README.md, `acnet/none` and https://x.y/acnet/none.py."
    assert missing_paths(said) == ["acnet/no_such.py", "acnet/none"]
    found = {path.relative_to(REPO_ROOT).as_posix(): missing_paths(prose(path)) for path in TEXTS}
    assert {name: paths for name, paths in found.items() if paths} == {}
