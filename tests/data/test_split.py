"""Splits: what belongs together stays together, shares are kept, nothing depends on order."""

import csv
import itertools
import json

import numpy as np
import pytest

from acnet.data.audit.examination import Photo
from acnet.data.readers.acne04 import open_acne04
from acnet.data.split import (
    Group,
    SplitOptions,
    deal,
    fold_parts,
    given_groups,
    make_groups,
    names_of,
    parts_text,
    write_split,
)
from acnet.errors import UserError
from tests.data.audit.fake_source import FakeSource, annotated, save_toy_photo
from tests.data.audit.planter import SMALL, plant

SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
DEFAULT = SplitOptions(shares=SHARES)


def groups_of(sizes):
    """Groups of the given numbers of photos, with 0 to 20 boxes each."""
    rng, names = np.random.default_rng(0), (f"{number:04d}.jpg" for number in itertools.count())
    return [
        Group(tuple(itertools.islice(names, size)), (size, int(rng.integers(0, 20, size).sum())))
        for size in sizes
    ]


def sums(groups):
    """Sum up photos, boxes and the photos of each stratum."""
    return np.sum([group.features for group in groups], axis=0)


def photo(name, boxes=1, sha256="", **fields):
    rows = [[i, 0, i + 1, 9] for i in range(boxes)]
    return Photo(name, (), sha256 or name, 1, None, annotated(name, rows, **fields))


def test_each_photo_is_in_one_part_and_photos_are_shared_to_the_last_whatever_the_order():
    groups = groups_of([1] * 1000)
    dealt = deal(groups, SHARES, seed=0)
    assert names_of([g for members in dealt.values() for g in members]) == names_of(groups)
    assert [len(dealt[part]) for part in SHARES] == [800, 100, 100]
    groups = groups_of([1] * 90 + [3] * 10)
    first = deal(groups, SHARES, seed=0)
    assert deal(groups[::-1], SHARES, seed=0) == first
    assert deal(groups, SHARES, seed=1) != first


@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_shared_too_and_large_groups_leave_the_shares_even(seed):
    groups = groups_of([1] * 400)
    total = sums(groups)[1]
    for part, members in deal(groups, SHARES, seed).items():
        assert abs(sums(members)[1] - SHARES[part] * total) <= 0.005 * total
    groups = groups_of([9, 7, 5, 4, 3, 3, 2, 2] + [1] * 65)
    for part, members in deal(groups, SHARES, seed).items():
        assert abs(sums(members)[0] - SHARES[part] * 100) <= 1


def test_a_split_stays_what_it_was():
    # Golden: the same on every machine and with every version of the libraries.
    dealt = deal(groups_of([1] * 20 + [2] * 5), {"a": 0.5, "b": 0.3, "c": 0.2}, seed=7)
    numbers = (2, 7, 12, 19, 22, 23)  # of which 22 and 23 are one group
    assert names_of(dealt["c"]) == [f"{number:04d}.jpg" for number in numbers]


@pytest.mark.parametrize("number", [0, 2])
def test_too_few_groups_are_an_error_that_says_so(number):
    with pytest.raises(UserError, match=rf"Received {number} groups .* empty\. Ask for fewer"):
        deal(groups_of([1] * number), SHARES, seed=0)


def test_every_photo_is_tested_in_one_fold_and_trained_on_in_the_others():
    groups = groups_of([1] * 90 + [2] * 5)
    parts = fold_parts(groups, 5, seed=0)
    everything = names_of(groups)
    assert sorted(name for fold in range(5) for name in parts[f"test_{fold}"]) == everything
    for fold in range(5):
        assert len(parts[f"test_{fold}"]) == 20
        assert sorted(parts[f"test_{fold}"] + parts[f"trainval_{fold}"]) == everything


def test_twins_and_given_groups_are_joined_also_through_each_other():
    photos = [photo("a.jpg", sha256="1"), photo("b.jpg", sha256="1")]
    photos += [photo(f"{name}.jpg") for name in "cde"]
    # a and b are one file; b and c are one patient's.
    groups = make_groups(photos, {"b.jpg": "p1", "c.jpg": "p1", "d.jpg": "p2"})
    assert [g.file_names for g in groups] == [("a.jpg", "b.jpg", "c.jpg"), ("d.jpg",), ("e.jpg",)]
    assert [g.features for g in groups] == [(3, 3), (1, 1), (1, 1)]


def test_grades_are_further_features_and_strata_are_shared_evenly():
    photos = [photo("a.jpg", 3), photo("b.jpg", 30), photo("c.jpg", 4, grade=1)]
    groups = make_groups(photos, {}, by_grade=True)
    assert [g.features for g in groups] == [(1, 3, 1, 0, 0), (1, 30, 0, 0, 1), (1, 4, 0, 1, 0)]
    photos = [photo(f"{i:03d}.jpg", 30 if i % 5 == 0 else 2) for i in range(100)]
    dealt = deal(make_groups(photos, {}, by_grade=True), SHARES, seed=3)
    # Of 20 photos of grade 2, a tenth each.
    assert sums(dealt["test"]).tolist() == sums(dealt["valid"]).tolist() == [10, 76, 8, 2]


def test_groups_by_a_table_or_an_expression(tmp_path):
    names = ["train/a_jpg.rf.1.jpg", "test/a_jpg.rf.2.jpg", "test/b.jpg"]
    options = SplitOptions(shares=SHARES, group_regex=r"^(.+)_jpe?g\.rf\.")
    assert given_groups(names, options) == dict.fromkeys(names[:2], "a")
    assert given_groups(names, DEFAULT) == {}
    table = tmp_path / "patients.csv"
    table.write_text("photo,patient\nb.jpg,p1\nimages/a.jpg,p1\nc.jpg,\nother.jpg,p9\n")
    options = SplitOptions(shares=SHARES, group_table=(table, "patient"))
    names = ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    with pytest.raises(UserError, match=r"1 of 3 photos that it gives no group: 'images/c\.jpg'"):
        given_groups(names, options)
    assert given_groups(names[:2], options) == {"images/a.jpg": "p1", "images/b.jpg": "p1"}


@pytest.mark.parametrize(
    "content",
    [
        "photo,patient\na.jpg,M\u00fcller\nb.jpg,Mu\u0308ller \n",  # as Windows and macOS write it
        "photo,patient\ra.jpg,M\u00fcller\rb.jpg,M\u00fcller\r",
        "photo;patient;age\r\na.jpg;M\u00fcller;1,5\r\nb.jpg;M\u00fcller;2\r\n",
        "photo\t patient \na.jpg\tM\u00fcller\nb.jpg\tM\u00fcller\n",
        'photo, "patient"\na.jpg, "M\u00fcller"\nb.jpg, M\u00fcller\n',
    ],
)
def test_one_patient_is_one_group_however_the_table_is_written(tmp_path, content):
    table = tmp_path / "patients.csv"
    table.write_bytes(content.encode())
    options = SplitOptions(shares=SHARES, group_table=(table, "patient"))
    assert given_groups(["a.jpg", "b.jpg"], options) == dict.fromkeys(
        ("a.jpg", "b.jpg"), "M\u00fcller"
    )


def test_one_patient_is_one_group_in_names_too():
    options = SplitOptions(shares=SHARES, group_regex=r"^(.+)_\d")
    found = given_groups(["M\u00fc_1.jpg", "Mu\u0308_2.jpg"], options)
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'photo,patient\na.jpg,"{"p" * 140_000}"\n', "cannot be read as such .field larger"),
        (None, r"where there is none\. Correct --group-by\.$"),
        ("photo,person\na.jpg,p1\n", r"columns photo, person, and the wish for 'patient'"),
        ("", r"columns none"),
        ("patient,photo\np1,a.jpg\n", r"first column"),
        ("photo,patient\nz.jpg,p1\n", r"gives no group: 'a\.jpg'; 1 rows that name no photo"),
        ("photo,patient\na.jpg,p1\na.jpg,p2\n", r"1 photos with several groups: 'a\.jpg'"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, content, message):
    table = tmp_path / "patients.csv"
    if content is not None:
        table.write_text(content)
    options = SplitOptions(shares=SHARES, group_table=(table, "patient"))
    with pytest.raises(UserError, match=message):
        given_groups(["a.jpg"], options)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    dst = tmp_path_factory.mktemp("planted") / "set"
    found = plant(dst, **SMALL)
    return open_acne04(dst), found["identical photos"]


def parts_of(folder):
    content = {p.stem: json.loads(p.read_text()) for p in (folder / "annotations").iterdir()}
    return {part: {image["file_name"] for image in c["images"]} for part, c in content.items()}


def test_a_split_of_a_set_keeps_its_twins_together_and_lists_what_went_where(planted, tmp_path):
    source, twins = planted
    imported = write_split(tmp_path / "new", source, DEFAULT)
    parts = parts_of(tmp_path / "new")
    assert [len(parts[part]) for part in SHARES] == [48, 6, 6]
    for a, b in twins:
        assert any({a, b} <= names for names in parts.values())
    header, *rows = csv.reader((tmp_path / "new" / "parts.csv").open())
    assert header == ["file_name", "part", "group", "boxes", "grade"]
    assert {(name, part, int(boxes)) for name, part, _, boxes, _ in rows} == {
        (name, part, len(source.read(name).boxes_xyxy))
        for part, names in parts.items()
        for name in names
    }
    assert "train         48" in parts_text(imported)


def test_a_photo_that_is_called_as_a_formula_runs_none_in_a_spreadsheet(tmp_path):
    known = {name: annotated(name, [[1, 1, 9, 9]]) for name in ("a.jpg", "=1+1.jpg")}
    root = tmp_path / "photos"
    for index, name in enumerate(known):
        save_toy_photo(root / name, index)
    source = FakeSource(image_root=root, annotations=known, splits={"all": list(known)})
    write_split(tmp_path / "new", source, SplitOptions(shares={"a": 0.5, "b": 0.5}))
    assert "\n'=1+1.jpg," in (tmp_path / "new" / "parts.csv").read_text()


def test_unusable_photos_are_left_out_and_no_split_is_written_into_its_set(broken, tmp_path):
    write_split(tmp_path / "new", broken, SplitOptions(shares={"a": 0.5, "b": 0.5}))
    names = set().union(*parts_of(tmp_path / "new").values())
    assert names == broken.annotations.keys() - {"cut.jpg"}
    dropped = (tmp_path / "new" / "dropped.txt").read_text()
    assert "photo left out: picture unreadable\tcut.jpg" in dropped
    with pytest.raises(UserError, match="Choose another folder"):
        write_split(broken.image_root / "new", broken, DEFAULT)
