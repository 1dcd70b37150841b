"""Reading a photo for the audit: what is damaged is told from what is missing."""

import hashlib
import os
from contextlib import nullcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageEnhance

from acnet.data.audit import examination as looks
from acnet.data.audit.examination import (
    HASH_BITS,
    MAX_FILE_BYTES,
    close_hashes,
    examine,
    near_pairs,
    thumbnail_looks,
)
from acnet.data.audit.twins import MAX_DIFFERING_BITS, MIN_CORRELATION
from acnet.data.readers.yolo import NO_LABEL
from acnet.data.records import Note
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.errors import UnreadableFileError
from acnet.photos.read import read_bgr
from tests.data.audit.fake_source import FakeSource, annotated, save_toy_photo


def examined(folder, photo=None, name="a.jpg", known=None, kind=FakeSource):
    known = {name: photo or annotated(name)} if known is None else known
    source = kind(image_root=folder, annotations=known, splits={"train": [name]})
    return examine(name, source=source)


def kinds(photo):
    return [finding.kind for finding in photo.findings]


def test_a_sound_photo_has_its_hash_and_its_annotation(tmp_path):
    save_toy_photo(tmp_path / "a.jpg", 0)
    photo = examined(tmp_path)
    assert photo.findings == ()
    assert photo.orientation == 1
    assert photo.sha256 == hashlib.sha256((tmp_path / "a.jpg").read_bytes()).hexdigest()
    assert photo.annotated.image_hw == (64, 96)
    assert photo.looks.thumbnail.shape == (32, 32)


def test_what_is_cut_off_too_large_or_elsewhere_is_unreadable(tmp_path):
    path, secret = tmp_path / "set" / "a.jpg", tmp_path / "secret.jpg"
    for place in (path, secret):
        save_toy_photo(place, 0)
    path.write_bytes(path.read_bytes()[:-200])  # its header is sound
    cut = examined(path.parent)
    os.truncate(path, MAX_FILE_BYTES + 1)  # a hole: it takes no room on the disk
    large = examined(path.parent)
    path.unlink()
    path.symlink_to(secret)
    linked = examined(path.parent)
    for photo in (cut, large, linked):
        assert kinds(photo) == ["picture unreadable"]
        assert (photo.annotated, photo.looks) == (None, None)
    assert [bool(photo.sha256) for photo in (cut, large, linked)] == [True, False, False]
    assert "536,870,913 bytes" in large.findings[0].detail


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_decoding_small_finds_the_damage_that_full_size_finds(tmp_path, progressive, subsampling):
    path = tmp_path / "a.jpg"
    image_bgr = draw_photo(ToyOptions(seed=1, sizes_px=(600,)), 0).image_bgr
    jpeg = {"quality": 90, "progressive": progressive, "subsampling": subsampling}
    Image.fromarray(image_bgr[..., ::-1].copy()).save(path, **jpeg)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    near_the_end = [len(content) - left for left in (1, 2, 3, 5, 9, 17, 65, 257)]
    spoilt = [content[:cut] for cut in [*near_the_end, *rng.integers(200, len(content), 8)]]
    for place in rng.integers(1000, len(content) - 300, 16).tolist():
        spoilt.append(content[:place] + rng.bytes(200) + content[place + 200 :])
    found = set()
    for damaged in spoilt:
        path.write_bytes(damaged)
        whole = kinds(examined(tmp_path)) == []
        with nullcontext() if whole else pytest.raises(UnreadableFileError):
            read_bgr(path)
        found.add(whole)
    assert False in found


def test_a_missing_picture_a_missing_annotation_and_one_that_is_damaged(tmp_path):
    assert kinds(examined(tmp_path)) == ["picture missing"]
    save_toy_photo(tmp_path / "a.jpg", 0)
    assert kinds(examined(tmp_path, known={})) == ["annotation missing"]

    class Damaged(FakeSource):
        def read(self, file_name):
            raise UnreadableFileError("A rule. Received nonsense. A remedy.")

    damaged = examined(tmp_path, kind=Damaged)
    assert kinds(damaged) == ["annotation unreadable"]
    assert damaged.looks is not None  # the picture is sound, so its twins are found


def test_a_sideways_photo_is_reported_and_looks_like_the_upright_one(tmp_path):
    save_toy_photo(tmp_path / "a.png", 0)
    upright = examined(tmp_path, name="a.png")
    with Image.open(tmp_path / "a.png") as image:
        exif = Image.Exif()
        exif[274] = 6  # to be turned clockwise, so it is stored turned the other way
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png", exif=exif)
    sideways = examined(tmp_path, name="b.png")
    assert (kinds(sideways), sideways.orientation) == (["EXIF orientation"], 6)
    # Shrinking rounds rows and columns in turn, so a bit that is nearly undecided may change.
    assert int((upright.looks.bits != sideways.looks.bits).sum()) <= 2
    assert_allclose(upright.looks.thumbnail, sideways.looks.thumbnail, rtol=0, atol=2)


def test_what_the_reader_left_out_is_a_finding(tmp_path):
    save_toy_photo(tmp_path / "a.jpg", 0)
    notes = (Note("line dropped", "a.jpg", "line 3", 2), Note(NO_LABEL, "a.jpg"))
    photo = examined(tmp_path, annotated(notes=notes))
    assert kinds(photo) == ["annotation not taken", "annotation missing"]
    assert (photo.findings[0].number, photo.findings[0].detail) == (2, "line dropped line 3")


TOY = ToyOptions(seed=2, sizes_px=(128,))
LIMITS = {"max_differing_bits": MAX_DIFFERING_BITS, "min_correlation": MIN_CORRELATION}


def toy_picture(index: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(draw_photo(TOY, index).image_bgr[..., ::-1]))


def looks_of(image: Image.Image) -> looks.Looks:
    return thumbnail_looks(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("block_rows", [1, 7, 1024])
def test_close_hashes_are_those_of_all_pairs(block_rows, monkeypatch):
    monkeypatch.setattr(looks, "BLOCK_ROWS", block_rows)
    rng = np.random.default_rng(0)
    bits = rng.random((30, HASH_BITS)) < 0.5
    bits[20] = bits[3] ^ (np.arange(HASH_BITS) < 5)
    for other_bits in (bits, rng.permuted(bits, axis=1)):
        differing = (bits[:, None] != other_bits).sum(axis=2)
        first, second = np.nonzero(np.triu(differing <= 24, k=1))
        assert len(first)
        blocks = [np.stack(block) for block in close_hashes(bits, other_bits, 24)]
        expected = [first, second, differing[first, second]]
        assert_array_equal(np.concatenate(blocks, axis=1), expected)


def test_copies_that_were_shrunk_lit_or_mirrored_are_alike_and_other_photos_are_not():
    photo = toy_picture(0)
    dark = ImageEnhance.Brightness(photo).enhance(0.7)
    copies = [photo.resize((77, 77)), dark, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    others = [toy_picture(index) for index in range(1, 40)]
    found = near_pairs([looks_of(p) for p in [photo, *copies, *others]], **LIMITS)
    # The first three are alike as they are, each of them is like the fourth mirrored.
    assert {(p.first, p.second) for p in found if not p.mirrored} == {(0, 1), (0, 2), (1, 2)}
    assert {(p.first, p.second) for p in found if p.mirrored} == {(0, 3), (1, 3), (2, 3)}
    assert all(p.correlation > 0.99 for p in found)
    mirrored = looks_of(copies[2]).bits
    assert int((looks_of(photo).mirrored_bits != mirrored).sum()) <= 2  # of resizing
    plain = [looks_of(Image.new("L", (64, 64), grey)) for grey in (0, 128, 128)]  # of one colour
    assert near_pairs(plain, **LIMITS) == near_pairs(plain[:1], **LIMITS) == []
    assert near_pairs([], **LIMITS) == []
