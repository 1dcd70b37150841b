"""What a part adds, as pairs of rows."""

import pytest

from acnet.tables.effects import effect_weights, paper_effect, part_pairs
from acnet.tables.paper import PAPER_ROWS, PARTS

KEYS = {row.key: row.key for row in PAPER_ROWS if row.table == 2}


def test_pairs_differ_in_the_part_alone():
    assert [(a.key, b.key) for a, b in part_pairs("CB")] == [
        ("baseline", "cb"),
        ("frm_dce_mama", "acnet"),
    ]
    assert [(a.key, b.key) for a, b in part_pairs("DCE")] == [
        ("cb", "cb_dce"),
        ("cb_frm", "cb_frm_dce"),
        ("cb_frm_mama", "acnet"),
    ]


def test_weights_of_dce_by_hand():
    """(d - b + f - c + h - g) / 3."""
    plus, minus = ("cb_dce", "cb_frm_dce", "acnet"), ("cb", "cb_frm", "cb_frm_mama")
    expected = {**dict.fromkeys(plus, 1 / 3), **dict.fromkeys(minus, -1 / 3)}
    assert effect_weights("DCE", KEYS) == pytest.approx(expected)


@pytest.mark.parametrize("part", PARTS)
def test_weights_sum_to_nothing_and_give_the_papers_mean_gain(part):
    weights = effect_weights(part, KEYS)
    maps = {row.key: row.map_percent for row in PAPER_ROWS if row.table == 2}
    assert sum(weights.values()) == pytest.approx(0.0)
    assert sum(w * maps[key] for key, w in weights.items()) == pytest.approx(paper_effect(part))


def test_a_row_in_two_pairs_counts_twice_or_not_at_all():
    """MAMA: (e - b + g - c + h - f) / 3, of which only g - c is left here."""
    keys = {key: key for key in ("cb_frm", "cb_frm_mama", "cb")}
    assert effect_weights("MAMA", keys) == {"cb_frm": -1.0, "cb_frm_mama": 1.0}
    assert effect_weights("MAMA", {}) == {}
