"""From annotated to cleaned: names, boxes, flags and what is noted."""

import numpy as np

from acnet.data.clean import (
    CLIPPED,
    DEGENERATE,
    MOST_LOST,
    OTHER_SIZE,
    OUTSIDE,
    SHOWN_NAMES,
    ClassMap,
    clean,
)
from acnet.data.records import Annotated, Note

ACNE = ClassMap(("scar", "acne"), {"fore": 1, "scar": 0}, is_chosen=True)


def annotated(*objects, **fields):
    """A photo of 100x50 with (name, box) pairs."""
    boxes = np.array([box for _, box in objects], np.float64).reshape(-1, 4)
    names = tuple(name for name, _ in objects)
    defaults = {"file_name": "a.jpg", "image_hw": (50, 100)}
    return Annotated(**{**defaults, "names": names, "boxes_xyxy": boxes, **fields})


def test_each_object_by_hand():
    record, notes = clean(
        annotated(
            ("fore", (1, 2, 3, 4)),
            ("cold_sore", (1, 1, 5, 5)),
            ("scar", (90, 10, 120, 20)),  # 20 too wide: clipped to 90..100
            ("fore", (200, 1, 210, 5)),
            ("fore", (9, 9, 9, 12)),
            crowd=np.array([False, True, True, True, True]),
            difficult=np.array([True, False, False, False, True]),
        ),
        ACNE,
    )
    assert record.boxes_xyxy.tolist() == [[1, 2, 3, 4], [90, 10, 100, 20]]
    assert record.classes.tolist() == [1, 0]
    assert record.crowd.tolist() == [False, True]
    assert record.difficult.tolist() == [True, False]
    assert (record.height, record.width) == (50, 100)
    assert [(note.kind, note.count) for note in notes] == [
        ("object dropped: name 'cold_sore'", 1),
        (CLIPPED, 1),
        (OUTSIDE, 1),
        (DEGENERATE, 1),
    ]


def test_no_flags_stay_no_flags():
    record, _ = clean(annotated(("fore", (1, 2, 3, 4)), crowd=np.array([False])), ACNE)
    assert record.crowd.shape == record.difficult.shape == (0,)


def test_a_photo_most_of_whose_boxes_lie_outside_is_dropped():
    inside, outside = ("fore", (1, 2, 3, 4)), ("fore", (200, 1, 210, 5))
    record, notes = clean(annotated(outside, inside, outside), ACNE)
    assert record is None
    assert notes[-1] == Note(MOST_LOST, "a.jpg", "2 of 3 objects")
    record, _ = clean(annotated(outside, inside), ACNE)  # half is not most
    assert record.boxes_xyxy.tolist() == [[1, 2, 3, 4]]
    record, _ = clean(annotated(outside), ACNE)
    assert record is None
    record, _ = clean(annotated(("mole", (200, 1, 210, 5)), ("fore", (1, 1, 1, 1))), ACNE)
    assert record is None  # its one lesion has no area: it is not clear skin


def test_what_the_reader_lost_and_names_that_nobody_declared_count_as_lost():
    inside = ("fore", (1, 2, 3, 4))
    assert clean(annotated(inside, lost=1), ACNE)[0] is not None
    assert clean(annotated(inside, lost=2), ACNE)[0] is None
    assert clean(annotated(lost=1), ACNE)[0] is None
    declared = ClassMap(("fore",), {"fore": 0})
    assert clean(annotated(("1", (1, 2, 3, 4))), declared)[0] is None
    assert clean(annotated(("mole", (1, 2, 3, 4)), inside), declared)[0] is not None


def test_a_photo_without_objects_or_of_unwanted_ones_stays():
    for photo in (annotated(), annotated(("mole", (200, 1, 210, 5)))):
        record, _ = clean(photo, ACNE)
        assert record.boxes_xyxy.shape == (0, 4)


def test_another_size_is_noted_and_the_readers_notes_are_kept():
    own = Note("from the reader", "a.jpg")
    _, notes = clean(annotated(declared_hw=(100, 50), notes=(own,)), ACNE)
    assert notes == [own, Note(OTHER_SIZE, "a.jpg", "50x100 stated, 100x50 decoded")]
    _, notes = clean(annotated(declared_hw=(50, 100)), ACNE)
    assert notes == []


def test_many_names_are_not_many_notes():
    objects = [(f"name {i:03}", (1, 1, 2, 2)) for i in range(100)]
    _, notes = clean(annotated(*objects), ACNE)
    assert len(notes) == SHOWN_NAMES + 1
    assert sum(note.count for note in notes) == 100
