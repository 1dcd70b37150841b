"""Every `file:symbol`, link and config that the documentation names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("**/*.md"))
SYMBOL = re.compile(r"`((?:acnet|projects|datasets|scripts)/[\w/]+\.py):(\w+)`")


def _defined(path):
    return {node.name for node in ast.parse(path.read_text()).body if hasattr(node, "name")}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_symbols_exist(page):
    for file, symbol in SYMBOL.findall(page.read_text()):
        assert (ROOT / file).is_file(), file
        assert symbol in _defined(ROOT / file), f"{file}:{symbol}"


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_project_s_readme_lists_every_config():
    readme = ROOT / "projects" / "ACNet" / "README.md"
    listed = re.findall(r"\| \[([\w/]+)\]\(configs/([\w/]+)\.py\)", readme.read_text())
    configs = readme.parent / "configs"
    there = {
        path.relative_to(configs).with_suffix("").as_posix()
        for path in configs.rglob("*.py")
        if path.relative_to(configs).parts[0] != "common"
    }
    assert {name for name, _ in listed} == {file for _, file in listed} == there


def test_every_part_of_the_model_has_its_page():
    documented = {file for page in PAGES for file, _ in SYMBOL.findall(page.read_text())}
    parts = {
        path.relative_to(ROOT).as_posix()
        for folder in ("layers", "modeling")
        for path in (ROOT / "acnet" / folder).glob("*.py")
        if path.name not in ("__init__.py", "complexity.py")
    }
    assert parts <= documented
