"""Templates: found where the package is installed, escaped, strict, and numbers for people."""

import ast
import fnmatch
import importlib.resources
import re

import jinja2
import pytest

from acnet.templates import render, rounded


def test_templates_are_package_files_and_all_of_them_are_installed(repo_root):
    setup = (repo_root / "setup.py").read_text(encoding="utf-8")
    (patterns,) = re.findall(r'^ +"": (\[.*?\])', setup, re.MULTILINE)
    folder = repo_root / "acnet" / "templates"
    paths = [path for path in folder.rglob("*") if path.suffix in (".j2", ".css", ".js")]
    assert len(paths) > 10
    for path in paths:
        name = path.relative_to(folder).as_posix()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in ast.literal_eval(patterns))
        assert importlib.resources.files("acnet.templates").joinpath(name).is_file()


def test_text_is_escaped_and_a_forgotten_value_is_refused(tmp_path):
    page = tmp_path / "page.html.j2"  # of another folder, which extends one of those here
    page.write_text('{% extends "base.html.j2" %}{% set images = "" %}')
    assert "<title>&lt;b&gt;</title>" in render(page, title="<b>")
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render(page)


@pytest.mark.parametrize(
    ("value", "digits", "plus", "text"),
    [
        (71.26, 1, False, "71.3"),
        (1234.5, 0, False, "1,234"),
        (0.5, 2, True, "+0.50"),
        (-0.5, 2, True, "\N{MINUS SIGN}0.50"),
        (-0.001, 2, False, "0.00"),
    ],
)
def test_numbers_for_people(value, digits, plus, text):
    assert rounded(value, digits, plus) == text
