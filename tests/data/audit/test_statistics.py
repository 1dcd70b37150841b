"""What a set holds."""

import json

import numpy as np
from numpy.testing import assert_allclose

from acnet.data.audit.statistics import AnchorSet, count_edges, describe, size_edges
from tests.data.audit.fake_source import annotated

PHOTOS = [
    annotated("a.jpg", [[24, 24, 56, 56], [-10, 0, 10, 40]], names=("papule", "nodule")),
    annotated("b.jpg", [[24, 24, 56, 56]], names=("papule",), grade=2),
    annotated("c.jpg"),
]
SPLITS = {"train": ["a.jpg", "b.jpg", "lost.jpg"], "test": ["c.jpg"]}


def test_numbers_that_a_reader_counts():
    told = describe(PHOTOS, SPLITS, AnchorSet())
    assert (told.photos, told.read, told.boxes) == (4, 3, 3)
    assert list(told.names.items()) == [("papule", 2), ("nodule", 1)]
    assert {s: (size.photos, size.boxes) for s, size in told.splits.items()} == {
        "train": (3, 3),
        "test": (1, 0),
    }
    assert told.photos_by_grade == {0: 2, 2: 1}  # the listed grade goes before the count
    assert_allclose(told.sizes_px, [32, 20, 32])  # the second is 10 x 40 inside its photo
    assert told.counts.tolist() == [2, 1, 0]
    # 10 x 40 at (0, 0) to (10, 40): the best of the paper's anchors is 22.6 x 45.3 at x = 8.
    assert told.anchor_share == 2 / 3


def test_an_empty_set_has_no_shares():
    told = describe([], {"train": []}, AnchorSet())
    assert (told.photos, told.boxes, told.anchor_share) == (0, 0, None)
    json.dumps(told.as_dict(), allow_nan=False)


def test_json_holds_histograms_of_all_values():
    told = describe(PHOTOS, SPLITS, AnchorSet()).as_dict()
    json.dumps(told, allow_nan=False)
    assert sum(told["sizes_px"]["histogram"]["numbers"]) == 3
    assert sum(told["counts"]["histogram"]["numbers"]) == 3
    assert told["counts"]["percentiles"]["50"] == 1


def test_every_value_is_in_a_bin_of_its_histogram():
    rng = np.random.default_rng(0)
    for values, edges_of in [
        (rng.uniform(0.5, 900, 200), size_edges),
        (np.array([4.0]), size_edges),
        (np.array([2.0, 4.0, 8.0]), size_edges),
        (rng.integers(0, 300, 200), count_edges),
        (np.array([0]), count_edges),
        (np.array([19, 20, 21]), count_edges),
    ]:
        edges = edges_of(values)
        assert (np.diff(edges) > 0).all()
        assert edges[0] <= values.min()
        assert values.max() < edges[-1]
        assert np.histogram(values, edges)[0].sum() == len(values)
