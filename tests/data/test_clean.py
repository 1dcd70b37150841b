"""From annotated to cleaned: names, boxes, flags and what is noted."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.data.clean import (
    CLIPPED,
    DEGENERATE,
    MISPLACED,
    MOST_LOST,
    OTHER_SIZE,
    OUTSIDE,
    SCALED,
    SHOWN_BOXES,
    SHOWN_NAMES,
    TURNED,
    ClassMap,
    choose_classes,
    clean,
    clean_boxes,
    read_fitted,
)
from acnet.data.records import Note, Notes
from acnet.errors import UserError
from acnet.photos.decode import turned
from tests.data.audit.fake_source import FakeSource, annotated

ACNE = ClassMap(("scar", "acne"), {"fore": 1, "scar": 0}, is_chosen=True)


def photo(*objects, **fields):
    """A photo of 100x50 with (name, box) pairs."""
    names = tuple(name for name, _ in objects)
    boxes = [box for _, box in objects]
    return annotated("a.jpg", boxes, **{"names": names, "image_hw": (50, 100), **fields})


def test_each_object_by_hand():
    annotated = photo(
        ("fore", (1, 2, 3, 4)),
        ("cold_sore", (1, 1, 5, 5)),
        ("scar", (90, 10, 120, 20)),  # 20 too wide: clipped to 90..100
        ("fore", (200, 1, 210, 5)),
        ("fore", (9, 9, 9, 12)),
        crowd=np.array([False, True, True, True, True]),
        difficult=np.array([True, False, False, False, True]),
    )
    record, notes = clean(annotated, ACNE)
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


INSIDE, OUT = ("fore", (1, 2, 3, 4)), ("fore", (200, 1, 210, 5))
MOLE = ("mole", (200, 1, 210, 5))
DECLARED = ClassMap(("fore",), {"fore": 0})


@pytest.mark.parametrize(
    ("annotated", "classes", "kept"),
    [
        (photo(OUT, INSIDE, OUT), ACNE, None),
        (photo(OUT, INSIDE), ACNE, 1),  # half is not most
        (photo(OUT), ACNE, None),
        (photo(MOLE, ("fore", (1, 1, 1, 1))), ACNE, None),  # its one lesion has no area
        # What the reader lost, and names that nobody declared, count as lost.
        (photo(INSIDE, lost=1), ACNE, 1),
        (photo(INSIDE, lost=2), ACNE, None),
        (photo(lost=1), ACNE, None),
        (photo(("1", (1, 2, 3, 4))), DECLARED, None),
        (photo(("mole", (1, 2, 3, 4)), INSIDE), DECLARED, 1),
        # A photo without objects, or of unwanted ones, stays.
        (photo(), ACNE, 0),
        (photo(MOLE), ACNE, 0),
    ],
)
def test_a_photo_most_of_whose_objects_are_lost_is_dropped(annotated, classes, kept):
    record, notes = clean(annotated, classes)
    if kept is None:
        assert record is None
        assert notes[-1].kind == MOST_LOST
    else:
        assert record.boxes_xyxy.tolist() == [[1, 2, 3, 4]][:kept]


def test_notes_say_how_much_is_lost_and_another_size_and_keep_the_readers():
    assert clean(photo(OUT, INSIDE, OUT), ACNE)[1][-1].detail == "2 of 3 objects"
    own = Note("from the reader", "a.jpg")
    _, notes = clean(photo(declared_hw=(100, 50), notes=(own,)), ACNE)
    assert notes == [own, Note(OTHER_SIZE, "a.jpg", "50x100 stated, 100x50 decoded")]
    assert clean(photo(declared_hw=(50, 100)), ACNE)[1] == []


def fitted(tmp_path, stated_hw, tag=1, hw=(32, 64), format_name="fake"):
    """The only box of a photo that is stored as 64x32, and its notes' kinds."""
    exif = Image.Exif()
    exif[274] = tag
    Image.new("RGB", (64, 32)).save(tmp_path / "a.jpg", exif=exif)
    annotations = {
        "a.jpg": annotated("a.jpg", [(4, 8, 10, 28)], image_hw=hw, declared_hw=stated_hw)
    }
    source = FakeSource(image_root=tmp_path, splits={}, annotations=annotations, format=format_name)
    found = read_fitted("a.jpg", source)
    assert len(found.names) == len(found.boxes_xyxy) == 1 - found.lost
    return found.boxes_xyxy.ravel().tolist(), [note.kind for note in found.notes]


@pytest.mark.parametrize(
    ("stated_hw", "expected"),
    [
        *(((32, 64), [4, 8, 10, 28]), (None, [4, 8, 10, 28]), ((0, 0), [4, 8, 10, 28])),
        *(((64, 128), [2, 4, 5, 14]), ((16, 32), [8, 16, 20, 56])),
        *(((32, 80), []), ((31, 70), [])),
        *(((64, 32), [4, 8, 10, 28]), ((33, 62), [4, 8, 10, 28])),  # and all boxes are inside
    ],
)
def test_boxes_of_another_size_are_scaled_or_lost(tmp_path, stated_hw, expected):
    boxes, kinds = fitted(tmp_path, stated_hw)
    is_scaled = expected and expected[0] != 4
    assert (boxes, kinds) == (expected, [SCALED] * bool(is_scaled) + [MISPLACED] * (not expected))
    assert fitted(tmp_path, stated_hw, format_name="acne04") == ([4, 8, 10, 28], [])


@pytest.mark.parametrize("tag", [5, 6, 7, 8])
def test_boxes_of_the_stored_pixels_are_turned_with_them(tmp_path, tag):
    stored = np.zeros((32, 64), np.uint8)
    stored[8:28, 4:10] = 1
    y, x = np.nonzero(turned(stored, tag))
    expected = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert fitted(tmp_path, (32, 64), tag, (64, 32)) == (expected, [TURNED])
    assert fitted(tmp_path, (64, 32), tag, (64, 32)) == ([4, 8, 10, 28], [])


def test_many_names_are_not_many_notes():
    objects = [(f"name {i:03}", (1, 1, 2, 2)) for i in range(100)]
    _, notes = clean(photo(*objects), ACNE)
    assert len(notes) == SHOWN_NAMES + 1
    assert sum(note.count for note in notes) == 100


NAN, INF = float("nan"), float("inf")


def test_each_fault_by_hand():
    boxes = np.array(
        [
            [0.0, 0, 100.004, 50],  # the whole photo but for rounding: kept without a note
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


def test_many_boxes_are_not_many_notes():
    unusable, outside, clipped = [9.0, 9, 9, 12], [200.0, 1, 210, 5], [90.0, 10, 120, 20]
    many = np.tile([unusable, outside, clipped], (SHOWN_BOXES + 5, 1))
    boxes, kept, notes = clean_boxes(many, (50, 100), "a.jpg")
    assert boxes.tolist() == [[90, 10, 100, 20]] * (SHOWN_BOXES + 5)
    assert kept.tolist() == [*range(2, len(many), 3)]
    # Those that are told are in the order of their boxes.
    assert [note.kind for note in notes[:3]] == [DEGENERATE, OUTSIDE, CLIPPED]
    assert [note.count for note in notes] == [1] * 3 * SHOWN_BOXES + [5] * 3
    assert clean_boxes(many[:0], (50, 100), "")[0].shape == (0, 4)


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
