"""`acnet tables`: what it says before and without any training."""

import pytest

from acnet.cli.main import main
from acnet.tables import command
from tests.tables.sample_records import add_record


def test_report_only_writes_the_pages(tmp_path, capsys):
    for seed in (1, 2):
        for key, value in (("baseline", 30.0), ("cb", 31.0)):
            add_record(tmp_path / "results", f"toy/table2/{key}", seed, value)
    arguments = ["tables", "--tables", "2", "--report-only", "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"4 records; tables: {tmp_path}/index.html\n"
    assert "| (b) CB | 15.2 | +4.9 | 31.0" in (tmp_path / "results.md").read_text()


def test_no_record_is_an_error(tmp_path, capsys):
    assert main(["tables", "--report-only", "--output", str(tmp_path)]) == 2
    assert "Name their folder by --results" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()


def test_mixed_settings_are_an_error(tmp_path, capsys):
    add_record(tmp_path / "results", "toy/table2/baseline", 1, 30.0)
    add_record(tmp_path / "results", "toy/table2/cb", 1, 30.0, iterations=800)
    assert main(["tables", "--report-only", "--output", str(tmp_path)]) == 2
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
    monkeypatch.setattr(command, "make_toy_sets", lambda: None)
    assert main(["tables", *arguments, "--output", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_more_jobs_than_cores_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "default_workers", lambda: 4)
    request = _request(tmp_path, jobs=8)
    with pytest.raises(command.UserError, match="Give --jobs 4 or less"):
        command.share_cores(request)
    assert command.share_cores(_request(tmp_path, jobs=None)) == (4, 1)
    assert command.share_cores(_request(tmp_path, jobs=3)) == (3, 1)
    assert command.share_cores(_request(tmp_path, jobs=2)) == (2, 2)


def _request(folder, *, jobs):
    return command.Request(
        data="toy",
        tables=(),
        names=(),
        forms=("letter",),
        tests=(),
        seeds=(1,),
        iterations=None,
        overrides=(),
        jobs=jobs,
        num_gpus=0,
        output=folder,
        results=folder,
        markdown=None,
        marker=None,
        report_only=False,
    )
