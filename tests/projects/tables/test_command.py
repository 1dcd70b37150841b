"""The command: what it says before and without any training."""

from pathlib import Path

import pytest

from acnet.errors import UserError
from projects.ACNet.tables import runner
from projects.ACNet.tables.__main__ import main
from tests.projects.tables.samples import add_record


def test_no_record_and_mixed_settings_are_errors(tmp_path, capsys):
    arguments = ["--report-only", "--output", str(tmp_path)]
    assert main(arguments) == 2
    assert "Name their folder by --results" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    add_record(tmp_path / "results", "toy/table2/cb", 1, 30.0, iterations=800)
    assert main(arguments) == 2
    assert "iterations: 400 and 800" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "cb_fmr"], "Did you mean"),
        (["--data", "voc07", "--tables", "2"], "Choose of 4"),
        (["--rows", "cb", "--opts", "train.max_itre=3"], "train.max_iter"),
    ],
)
def test_a_slip_is_told_before_anything_is_trained(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(runner, "make_toy_sets", lambda: None)
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_more_jobs_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(runner.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(runner, "default_workers", lambda: 4)
    with pytest.raises(UserError, match="Give --jobs 4 or less"):
        runner.share_cores(8)
    assert runner.share_cores(None) == (4, 1)
    assert runner.share_cores(3) == (3, 1)
    assert runner.share_cores(2) == (2, 2)


def test_the_saved_records_are_of_these_configs_and_give_the_same_table(tmp_path, capsys):
    """Records outlive renamed classes and modules; a changed model must be measured anew."""
    results = Path(__file__).parents[3] / "docs" / "lab" / "results"
    arguments = ["--tables", "2", "3", "--report-only", "--output", str(tmp_path)]
    status, said = main([*arguments, "--results", str(results)]), capsys.readouterr()
    assert status == 0, said.err
    assert said.out.endswith(f" records; tables: {tmp_path}/index.html\n")
    text = (tmp_path / "results.md").read_text()
    assert "| (b) CB | 15.2 | +4.9 | 55.0 (48.3 to 61.8) | \u22120.2 (\u22128.6 to +8.2) |" in text
