"""Every command, link, symbol and config that the documents name exists."""

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from acnet.cli.main import build_parser
from acnet.data.audit.findings import KINDS, SEVERITIES

REPO_ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "projects/**/*.md", "datasets/*.md", "weights/*.md")
    for path in REPO_ROOT.glob(pattern)
)
PAGES = [path for path in DOCUMENTS if path.is_relative_to(REPO_ROOT / "docs")]
SYMBOL = re.compile(r"`((?:acnet|projects|datasets|scripts)/[\w/]+\.py):(\w+)`")
VARIABLE = re.compile(r"[A-Z_]+=\S*")


def commands(markdown: str) -> Iterator[list[str]]:
    """Yield the words of each command in the fenced blocks that start with one of our programs."""
    for block in re.findall(r"^```\w*\n(.*?)^```", markdown, flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if re.match(r"([A-Z_]+=\S* )*(make|acnet|torchrun|\S*python3?) ", line):
                words = shlex.split(line, comments=True)
                while VARIABLE.fullmatch(words[0]):
                    words.pop(0)
                yield words


def check_make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (REPO_ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    wanted = {word for word in arguments if not VARIABLE.fullmatch(word)}
    assert wanted <= set(targets)


def check_script(arguments: list[str]) -> None:
    """Check that the script or program folder exists and its own parser takes what follows it."""
    programs = [word for word in arguments if word.endswith(".py") or word.startswith("projects/")]
    path = REPO_ROOT / programs[0]
    if path.is_dir():
        path /= "__main__.py"
    spec = importlib.util.spec_from_file_location("program", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.build_parser().parse_args(arguments[arguments.index(programs[0]) + 1 :])


def check(words: list[str]) -> None:
    program, *arguments = words
    if program == "make":
        check_make(arguments)
    elif program == "acnet":
        build_parser().parse_args(arguments)
    elif "--no-python" in arguments:
        check(arguments[arguments.index("--no-python") + 1 :])
    elif "-m" not in arguments and "-c" not in arguments:
        check_script(arguments)


def test_commands_are_found_in_blocks_only() -> None:
    text = "`make no`\n```bash\n$ A=1 make yes \\\n  B=2  # why\ncd x\n```\nmake no\n"
    assert list(commands(text)) == [["make", "yes", "B=2"]]


@pytest.mark.parametrize(
    "command",
    [
        "make nonsense",
        "acnet nonsense",
        "acnet data toy x --nonsense 1",
        "python projects/ACNet/nonsense.py",
        "python projects/ACNet/train_net.py --nonsense",
    ],
)
def test_a_wrong_command_is_noticed(command: str) -> None:
    with pytest.raises((AssertionError, SystemExit, FileNotFoundError)):
        check(command.split())


def anchors(document: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one).strip().lower().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist_and_links_lead_to_files_and_headings(document: Path) -> None:
    for words in commands(document.read_text()):
        check(words)
    links = re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?[^)]*\)", document.read_text())
    for link, anchor in links:
        if "://" not in link:
            file = (document.parent / link).resolve() if link else document
            assert file.exists(), link
            assert not anchor or anchor in anchors(file), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_symbols_exist(page: Path) -> None:
    for file, symbol in SYMBOL.findall(page.read_text()):
        assert (REPO_ROOT / file).is_file(), file
        body = ast.parse((REPO_ROOT / file).read_text()).body
        assert symbol in {getattr(node, "name", None) for node in body}, f"{file}:{symbol}"


def test_every_part_of_the_model_has_its_page() -> None:
    documented = {file for page in PAGES for file, _ in SYMBOL.findall(page.read_text())}
    parts = {
        path.relative_to(REPO_ROOT).as_posix()
        for folder in ("layers", "modeling")
        for path in (REPO_ROOT / "acnet" / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    assert parts <= documented


def test_the_index_lists_every_page() -> None:
    for folder in ("docs", "docs/lab"):
        index = REPO_ROOT / folder / "README.md"
        listed = set(re.findall(r"\]\((\w+\.md)\)", index.read_text()))
        there = {path.name for path in index.parent.glob("*.md")} - {"README.md"}
        assert listed == there


def test_the_project_s_readme_lists_every_config() -> None:
    readme = REPO_ROOT / "projects" / "ACNet" / "README.md"
    listed = re.findall(r"\| \[([\w/]+)\]\(configs/([\w/]+)\.py\)", readme.read_text())
    configs = readme.parent / "configs"
    there = {
        path.relative_to(configs).with_suffix("").as_posix()
        for path in configs.rglob("*.py")
        if path.relative_to(configs).parts[0] != "common"
    }
    assert {name for name, _ in listed} == {file for _, file in listed} == there


def test_every_kind_of_finding_is_explained_in_the_order_of_the_code() -> None:
    page = (REPO_ROOT / "docs" / "data.md").read_text()
    rows = re.findall(rf"^\| ([^|]+) \| ({'|'.join(SEVERITIES)}) \|", page, flags=re.MULTILINE)
    assert rows == [(kind.name, kind.severity) for kind in KINDS.values()]
