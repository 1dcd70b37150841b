"""Notes: how they are counted and written, and flags of some objects."""

import numpy as np

from acnet.data.records import Note, Notes, pick_flags


def test_notes_are_counted_by_kind_with_their_numbers():
    notes = Notes([Note("b", "1.jpg"), Note("a", "1.jpg", count=3)])
    notes.extend([Note("b", "2.jpg", count=2)])
    assert notes.counts() == {"a": 3, "b": 3}
    assert list(notes.counts()) == ["a", "b"]
    assert Notes().counts() == {}


def test_a_note_is_one_line_of_three_fields():
    notes = Notes([Note("a", "x\t\ny\ud800.jpg", "one\r\ntwo", 4), Note("b", "z.jpg")])
    assert notes.text() == "a\tx  y\\ud800.jpg\tone two (4 times)\nb\tz.jpg\t\n"


def test_flags_of_some_objects():
    flags = np.array([True, False, True])
    assert pick_flags(flags, np.array([0, 1])).tolist() == [True, False]
    assert pick_flags(flags, np.array([1])).shape == (0,)  # none is set: as if there were none
    assert pick_flags(np.zeros(0, bool), np.array([5])).shape == (0,)
