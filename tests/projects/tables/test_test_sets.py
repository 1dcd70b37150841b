"""The sets that rows are measured on."""

import json

import pytest
from detectron2.data import DatasetCatalog

from acnet.config import load_config
from acnet.data.prepared_set import PreparedLayout
from acnet.data.toy.toy_set import ToyTests, write_toy_tests
from acnet.errors import UserError
from acnet.tables.test_sets import default_tests, register_sets, short_test, truth_digest


@pytest.fixture(scope="module")
def toy_tests(tmp_path_factory):
    """Return the folder of four small test sets."""
    folder = tmp_path_factory.mktemp("sets") / "toy_tests"
    tests = ToyTests(photos=5, size_px=64)
    write_toy_tests(PreparedLayout.of_folder(folder), tests, workers=1)
    return folder


def test_the_usual_sets():
    toy, voc = load_config("toy/table2/cb"), load_config("voc07/acnet_r101")
    assert default_tests("toy", toy) == [
        "toy_tests_mixed", "toy_tests_colour", "toy_tests_scale", "toy_tests_density"
    ]  # fmt: skip
    assert default_tests("voc07", voc) == ["voc_2007_test"]


def test_a_digest_is_of_the_truth_and_not_of_its_place(toy_tests, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.symlink_to(toy_tests)
    names = [f"{toy_tests}:mixed", f"{copy}:mixed", f"{toy_tests}:density"]
    register_sets([], names)
    mixed, same, dense = map(truth_digest, names)
    assert mixed == same != dense
    assert len(mixed) == 16
    assert truth_digest([names[0], names[2]]) not in (mixed, dense)


def test_a_moved_box_changes_the_digest(toy_tests, tmp_path):
    name = f"{toy_tests}:scale"
    register_sets([], [name])
    before = truth_digest(name)
    path = toy_tests / "annotations" / "scale.json"
    text = path.read_text()
    content = json.loads(text)
    content["annotations"][0]["bbox"][0] += 0.5
    path.write_text(json.dumps(content))
    after = truth_digest(name)
    path.write_text(text)
    assert after != before == truth_digest(name)


def test_an_unknown_set_is_refused_with_those_that_are_known():
    with pytest.raises(UserError, match=r"toy_test_mixed.*toy_tests_mixed"):
        register_sets([load_config("toy/table2/cb")], ["toy_test_mixed"])
    assert "toy_tests_mixed" in DatasetCatalog


def test_names_for_columns():
    names = ["toy_tests_scale", "sets/acne:valid", "sets/acne/annotations/valid.json"]
    assert [short_test(name) for name in names] == ["scale", "valid", "valid"]
