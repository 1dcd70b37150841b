"""The cleaned copy: without errors, with a list of every change, beside an untouched original."""

import hashlib
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from acnet.data.audit import data_audit as fix
from acnet.data.audit.data_audit import without_copies, write_cleaned
from acnet.data.records import read_photo_split
from acnet.errors import UserError
from acnet.photos.read import read_bgr
from tests.data.audit.broken_set import SOUND
from tests.data.audit.fake_source import annotated
from tests.data.samples import contents


@pytest.fixture(scope="module")
def cleaned(broken, audit, tmp_path_factory):
    """The original's folder, the copy's folder and the changes."""
    copy = tmp_path_factory.mktemp("cleaned") / "copy"
    before = contents(broken.image_root)
    changes = write_cleaned(copy, broken, audit)
    assert contents(broken.image_root) == before, "the original was changed"
    return broken.image_root, copy, changes


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def boxes_of(folder, split):
    """Return the boxes of each photo of a part."""
    records = read_photo_split(folder / "annotations" / f"{split}.json").records
    return {record.file_name: record.boxes_xyxy.tolist() for record in records}


def test_what_cannot_be_used_is_left_out_and_twins_leave_training(cleaned):
    _, copy, _ = cleaned
    train, test = (boxes_of(copy, split).keys() for split in ("train", "test"))
    assert test == {"twin_b.jpg", "near_b.png", "both.jpg"}  # as it was published
    assert not train & {"twin_a.jpg", "near_a.png", "both.jpg"}
    assert not train & {"cut.jpg", "lost.jpg", "no_annotation.jpg"}
    # Of 20 photos in training three cannot be used, three straddle, and outside.jpg stays with
    # the box that it has inside.
    assert len(train) == 14


def test_boxes_are_corrected_and_numbered_from_1(cleaned):
    train = boxes_of(cleaned[1], "train")
    whole = {f"{stem}.jpg": [SOUND] for stem in ("nan", "inverted", "empty", "outside")}
    whole.update({"partly.jpg": [[88, 50, 96, 60]], "plain.jpg": []})
    whole["twice.jpg"] = [SOUND, [40, 10, 50, 20]]
    assert {name: train[name] for name in whole} == whole
    ids = [one["id"] for one in read(cleaned[1], "annotations/train")["annotations"]]
    assert ids == [*range(1, len(ids) + 1)]


def test_a_sideways_photo_is_stored_upright_and_without_its_exif_block(cleaned):
    original, copy, _ = cleaned
    path = copy / "images" / "sideways.jpg"
    with Image.open(path) as image:
        assert image.size == (64, 96)
        assert dict(image.getexif()) == {}
    difference = read_bgr(path).astype(int) - read_bgr(original / "sideways.jpg")
    assert np.abs(difference).mean() < 1  # quality 95
    # Its manifest entry is that of the new file, or loading would call the set stale.
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read(copy, "manifest")["pictures"]["sideways.jpg"][2] == sha256
    # All other photos are copied byte by byte.
    before, after = contents(original), contents(copy / "images")
    assert {name for name in after if after[name] != before[name]} == {"sideways.jpg"}


def test_every_change_is_listed_and_listed_again(cleaned, broken, audit):
    _, copy, changes = cleaned
    listed = {(change.kind, change.file_name) for change in changes}
    assert listed >= {
        ("photo left out: picture unreadable", "cut.jpg"),
        ("photo left out: picture missing", "lost.jpg"),
        ("photo left out: annotation missing", "no_annotation.jpg"),
        (fix.LEAK, "twin_a.jpg"),
        (fix.LEAK, "near_a.png"),
        (fix.LEAK, "both.jpg"),
        (fix.COPIES, "twice.jpg"),
        ("box clipped to the photo", "partly.jpg"),
        ("box dropped: outside the photo", "outside.jpg"),
        ("box dropped: no area", "nan.jpg"),
        ("box dropped: no area", "inverted.jpg"),
        ("box dropped: no area", "empty.jpg"),
        ("object dropped: name 'cold_sore'", "names.jpg"),
        (fix.UPRIGHT, "sideways.jpg"),
        (fix.RENUMBERED, "levle0_ids.jpg"),
        (fix.UNDECIDED, "twin_a.jpg"),
    }
    lines = (copy / "changes.txt").read_text().splitlines()
    assert len(lines) == len(read(copy, "changes")) == len(changes)
    assert str(cleaned[0].parent) not in (copy / "changes.txt").read_text()
    first = contents(copy)
    assert write_cleaned(copy, broken, audit) == changes
    assert contents(copy) == first


def test_photos_may_stay_where_they_are(broken, audit, tmp_path):
    write_cleaned(tmp_path / "copy", broken, audit, copy_photos=False)
    assert not (tmp_path / "copy" / "images").exists()
    image_root = read(tmp_path / "copy", "manifest")["image_root"]
    assert (tmp_path / "copy" / image_root).resolve() == broken.image_root.resolve()


@pytest.mark.parametrize("place", ["..", ".", "inside"])
def test_the_copy_is_never_written_into_the_original(broken, audit, place):
    before = contents(broken.image_root.parent)
    with pytest.raises(UserError, match="Choose another folder"):
        write_cleaned(broken.image_root / place, broken, audit)
    assert contents(broken.image_root.parent) == before


def test_flags_and_ids_stay_with_their_boxes():
    photo = annotated(
        boxes=[[0, 0, 9, 9], [0, 0, 9, 9], [5, 5, 9, 9]],
        annotation_ids=(4, 5, 6),
        crowd=np.array([True, False, True]),
        difficult=np.array([False, True, True]),
    )
    single = without_copies(photo)
    assert_array_equal(single.boxes_xyxy, [[0, 0, 9, 9], [5, 5, 9, 9]])
    assert (single.names, single.annotation_ids) == (("acne", "acne"), (4, 6))
    assert (single.crowd.tolist(), single.difficult.tolist()) == ([True, True], [False, True])
    assert without_copies(single) is single
