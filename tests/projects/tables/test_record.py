"""Records: what is written is what is read, or an error that says what to do."""

import json

import numpy as np
import pytest

from acnet.errors import UserError
from projects.ACNet.tables.record import read_record, read_records, write_record
from tests.projects.tables.samples import add_record


def test_a_record_comes_back_to_a_hundredth(tmp_path):
    replicates = np.array([[12.344, np.nan, 100.0], [0.0, 55.556, 3.0]])
    content = {"row": "toy/x", "form": "paper", "seed": 3, "settings": {}}
    content |= {"model": {}, "tests": {"a": {}}}
    write_record(tmp_path / "seed_3.json", content, {"a": replicates})
    record = read_record(tmp_path / "seed_3.json")
    assert (record.row, record.form, record.seed, record.settings) == ("toy/x", "paper", 3, {})
    expected = [[12.34, np.nan, 100.0], [0.0, 55.56, 3.0]]
    np.testing.assert_allclose(record.replicates["a"], expected, rtol=1e-12)


def test_an_older_record_names_forms_and_classes_as_of_today(tmp_path):
    path = add_record(tmp_path, "toy/table2/cb", 1, 30.0, optimizer="acnet.old.place.Optimizer")
    path.write_text(path.read_text().replace('"form": "paper"', '"form": "letter"'))
    record = read_record(path)
    assert (record.form, record.settings["optimizer"]) == ("paper", "acnet.Optimizer")


def test_equal_records_have_equal_bytes(tmp_path):
    paths = [add_record(tmp_path / name, "toy/table2/cb", 1, 30.0) for name in "ab"]
    for suffix in (".json", ".npz"):
        one, other = (path.with_suffix(suffix).read_bytes() for path in paths)
        assert one == other


def test_records_come_in_sorted_order_and_a_missing_folder_has_none(tmp_path):
    for config, seed in (("toy/table2/cb_frm", 2), ("toy/table2/cb", 10), ("toy/table2/cb", 1)):
        add_record(tmp_path, config, seed, 30.0)
    found = [(record.row, record.seed) for record in read_records(tmp_path)]
    assert found == [("toy/table2/cb", 1), ("toy/table2/cb", 10), ("toy/table2/cb_frm", 2)]
    assert list(read_records(tmp_path / "nothing")) == []


def _cut(path):
    path.write_text(path.read_text()[:-20])


def _lose_replicates(path):
    path.with_suffix(".npz").unlink()


def _other_version(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))


@pytest.mark.parametrize("damage", [_cut, _lose_replicates, _other_version])
def test_a_broken_record_is_named(tmp_path, damage):
    path = add_record(tmp_path, "toy/table2/cb", 1, 30.0)
    damage(path)
    with pytest.raises(UserError, match=r"seed_1\.json.*Delete it"):
        read_record(path)
