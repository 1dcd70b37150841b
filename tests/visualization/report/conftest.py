"""Reports that several tests read."""

from pathlib import Path

import pytest

from acnet.evaluation.result import EvaluationResult
from acnet.visualization.report import write_report
from tests.visualization.report.results import evaluated


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    """Return an evaluation with every part."""
    return evaluated()


@pytest.fixture(scope="module")
def page(result: EvaluationResult, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the text of its report."""
    return write_report(tmp_path_factory.mktemp("report"), result).read_text(encoding="utf-8")


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes the report of an evaluation and returns the page's text."""

    def write_and_read(result: EvaluationResult, **options: object) -> str:
        return write_report(tmp_path / "report", result, **options).read_text(encoding="utf-8")

    return write_and_read
