"""The fuzz harness: a short run of each reader, and that it sees what it is for."""

import json

import fuzz_readers
import pytest
from fuzz_sets import SETS

from acnet.data.readers import yolo

CASES = 12


@pytest.mark.parametrize("name", SETS)
def test_spoilt_data_sets_end_in_clear_errors(tmp_path, name):
    kinds = []
    for number in range(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcome = fuzz_readers.run_case(name, f"test-{number}", folder, limit_seconds=20)
        assert outcome.kind != "finding", "\n".join([*outcome.changes, outcome.text])
        kinds.append(outcome.kind)
    assert set(kinds) == {"imported", "refused"}


def test_the_same_seed_is_the_same_case(tmp_path):
    outcomes = []
    for copy in "ab":
        (tmp_path / copy).mkdir()
        outcomes.append(
            fuzz_readers.run_case("coco", "0-3", tmp_path / copy, limit_seconds=20).changes
        )
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("fault", ["error", "hang", "file"])
def test_a_finding_is_found(tmp_path, monkeypatch, fault):
    def fail(text, **options):
        if fault == "hang":
            while True:
                pass
        if fault == "file":
            (tmp_path / "escaped.txt").touch()
        return json.loads("{")

    monkeypatch.setattr(yolo, "parse_label", fail)
    kinds = set()
    for number in range(6):
        outcome = fuzz_readers.run_case("yolo", f"{number}", tmp_path, limit_seconds=0.5)
        kinds.add(outcome.kind)
        for path in tmp_path.rglob("*"):
            if path.is_file() or path.is_symlink():
                path.unlink()
        if outcome.kind == "finding":
            break
    assert "finding" in kinds
