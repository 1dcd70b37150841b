"""From annotated to cleaned: names, boxes, flags and what is noted."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from acnet.data.clean import (
    CLIPPED,
    DEGENERATE,
    MOST_LOST,
    OTHER_SIZE,
    OUTSIDE,
    ROUNDING_PX,
    SHOWN_BOXES,
    SHOWN_NAMES,
    ClassMap,
    choose_classes,
    clean,
    clean_boxes,
)
from acnet.data.records import Annotated, Note, Notes
from acnet.errors import UserError

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
        assert clean(photo, ACNE)[0].boxes_xyxy.shape == (0, 4)


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


NAN, INF = float("nan"), float("inf")


def test_each_fault_by_hand():
    boxes = np.array(
        [
            [0.0, 0, 100, 50],  # the whole photo: kept as it is
            [-5, 10, 20, 60],  # leaves left and bottom: clipped to 0, 10, 20, 50
            [100, 10, 120, 20],  # begins where the photo ends: outside
            [30, 30, 30, 40],  # no width
            [40, 40, 20, 45],  # inverted
            [NAN, 1, 5, 5],
            [1, 1, INF, 5],
        ]
    )
    kept_boxes, kept, notes = clean_boxes(boxes, (50, 100), "a.jpg")
    assert kept.tolist() == [0, 1]
    assert_array_equal(kept_boxes, [[0, 0, 100, 50], [0, 10, 20, 50]])
    kinds = [note.kind for note in notes]
    assert kinds == [CLIPPED, OUTSIDE, DEGENERATE, DEGENERATE, DEGENERATE, DEGENERATE]
    assert notes[0].file_name == "a.jpg"
    assert notes[0].detail == "xyxy [-5.0, 10.0, 20.0, 60.0] in 100x50"


def slow_clean(boxes, image_hw):
    """Box by box, as one would write it down."""
    height, width = image_hw
    kinds, kept = [], []
    for index, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        inside = [min(max(x0, 0), width), min(max(y0, 0), height)]
        inside += [min(max(x1, 0), width), min(max(y1, 0), height)]
        if not np.isfinite([x0, y0, x1, y1]).all() or min(x1 - x0, y1 - y0) <= ROUNDING_PX:
            kinds.append(DEGENERATE)
        elif min(inside[2] - inside[0], inside[3] - inside[1]) <= ROUNDING_PX:
            kinds.append(OUTSIDE)
        else:
            kept.append(index)
            moved = max(abs(a - b) for a, b in zip(inside, (x0, y0, x1, y1), strict=True))
            kinds += [CLIPPED] if moved > ROUNDING_PX else []
    return kept, kinds


def test_the_same_as_box_by_box():
    rng = np.random.default_rng(5)
    boxes = rng.integers(-30, 130, (300, 4)) + rng.choice([0.0, 0.004, 0.02], (300, 4))
    boxes[rng.random((300, 4)) < 0.02] = NAN
    assert clean_boxes(boxes[:0], (50, 100), "")[0].shape == (0, 4)
    kept_boxes, kept, notes = clean_boxes(boxes, (50, 100), "a.jpg")
    expected_kept, expected_kinds = slow_clean(boxes, (50, 100))
    assert kept.tolist() == expected_kept
    for kind in (CLIPPED, OUTSIDE, DEGENERATE):
        counted = sum(note.count for note in notes if note.kind == kind)
        assert counted == expected_kinds.count(kind) > SHOWN_BOXES
    assert (kept_boxes >= 0).all()
    assert (kept_boxes <= [100, 50, 100, 50]).all()


def choose(declared=(), found=(), **options):
    return choose_classes(declared, found, **{"format_name": "voc", **options})


MERGED = {"papule": "lesion", "scar": "scar", "pustule": "lesion"}


@pytest.mark.parametrize(
    ("declared", "found", "options", "expected"),
    [
        # ACNE04's name becomes acne, and others are left out.
        (["fore"], ["fore", "cold_sore"], {"format_name": "acne04"}, {"fore": "acne"}),
        # Declared names keep their order, and those that are only found are sorted.
        (["scar", "acne", "scar"], ["acne", "7"], {}, {"scar": "scar", "acne": "acne"}),
        ([], ["scar", "acne", "", "scar"], {}, {"acne": "acne", "scar": "scar"}),
        # A map merges, keeps and leaves out; one class takes every name.
        ([], ["papule", "pustule", "scar", "mole"], {"wanted": MERGED}, MERGED),
        (["a"], ["b", ""], {"one_class": "acne"}, dict.fromkeys(["a", "b", ""], "acne")),
        ([], [], {"one_class": "acne"}, {}),
    ],
)
def test_names_become_classes(declared, found, options, expected):
    classes = choose(declared, found, **options)
    names = {name: classes.class_names[index] for name, index in classes.index_of.items()}
    assert names == expected
    assert classes.class_names == (tuple(dict.fromkeys(expected.values())) or ("acne",))
    assert classes.is_chosen == ("wanted" in options or "format_name" in options)


def test_a_misspelt_name_and_no_class_at_all_are_told():
    with pytest.raises(UserError, match=r"'papul'; there are 'papule', 'scar'\. Correct"):
        choose(["papule"], ["scar"], wanted={"papul": "acne", "scar": "scar"})
    with pytest.raises(UserError, match=r"--one-class acne\.$"):
        choose()


def test_notes_are_counted_by_kind_and_are_lines_of_three_fields():
    notes = Notes([Note("b", "1.jpg"), Note("a", "1.jpg", count=3)])
    notes.extend([Note("b", "2.jpg", count=2)])
    assert list(notes.counts().items()) == [("a", 3), ("b", 3)]
    assert Notes().counts() == {}
    notes = Notes([Note("a", "x\t\ny\ud800.jpg", "one\r\ntwo", 4), Note("b", "z.jpg")])
    assert notes.text() == "a\tx  y\\ud800.jpg\tone two (4 times)\nb\tz.jpg\t\n"
