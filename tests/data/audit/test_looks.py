"""Near copies: what makes two photos alike, and what does not."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageEnhance

from acnet.data.audit import examination as looks
from acnet.data.audit.examination import HASH_BITS, close_hashes, near_pairs, thumbnail_looks
from acnet.data.audit.twins import MAX_DIFFERING_BITS, MIN_CORRELATION
from acnet.data.toy.toy_photo import ToyOptions, draw_photo

TOY = ToyOptions(seed=2, sizes_px=(128,))
LIMITS = {"max_differing_bits": MAX_DIFFERING_BITS, "min_correlation": MIN_CORRELATION}


def toy_picture(index: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(draw_photo(TOY, index).image_bgr[..., ::-1]))


def looks_of(image: Image.Image) -> looks.Looks:
    return thumbnail_looks(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))


def pairs_of(bits, other_bits, radius):
    blocks = list(close_hashes(bits, other_bits, radius))
    return [tuple(row) for block in blocks for row in np.stack(block, axis=1).tolist()]


@pytest.mark.parametrize("block_rows", [1, 7, 1024])
def test_all_pairs_within_the_radius_are_those_of_a_loop(block_rows, monkeypatch):
    monkeypatch.setattr(looks, "BLOCK_ROWS", block_rows)
    rng = np.random.default_rng(0)
    bits = rng.random((30, HASH_BITS)) < 0.5
    bits[20] = bits[3] ^ (np.arange(HASH_BITS) < 5)
    others = rng.permuted(bits, axis=1)
    for other_bits in (bits, others):
        slow = []
        for i in range(30):
            for j in range(i + 1, 30):
                distance = int((bits[i] != other_bits[j]).sum())
                if distance <= 24:
                    slow.append((i, j, distance))
        assert slow
        assert pairs_of(bits, other_bits, 24) == slow


def test_a_pair_at_the_radius_counts_and_one_beyond_does_not():
    bits = np.zeros((2, HASH_BITS), dtype=bool)
    bits[1, :8] = True
    assert pairs_of(bits, bits, 8) == [(0, 1, 8)]
    assert pairs_of(bits, bits, 7) == []


def test_no_photos_and_one_photo_have_no_pairs():
    assert near_pairs([], **LIMITS) == []
    assert near_pairs([looks_of(toy_picture(0))], **LIMITS) == []


def test_copies_that_were_shrunk_lit_or_mirrored_are_alike_and_other_photos_are_not():
    photo = toy_picture(0)
    copies = [
        photo.resize((77, 77)),
        ImageEnhance.Brightness(photo).enhance(0.7),
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    others = [toy_picture(index) for index in range(1, 40)]
    found = near_pairs([looks_of(p) for p in [photo, *copies, *others]], **LIMITS)
    # The first three are alike as they are, each of them is like the fourth mirrored.
    assert {(p.first, p.second): p.mirrored for p in found} == {
        (0, 1): False,
        (0, 2): False,
        (1, 2): False,
        (0, 3): True,
        (1, 3): True,
        (2, 3): True,
    }
    assert all(p.correlation > 0.99 for p in found)


def test_pictures_of_one_colour_are_like_nothing():
    plain = [looks_of(Image.new("L", (64, 64), grey)) for grey in (0, 128, 128)]
    assert near_pairs(plain, **LIMITS) == []


def test_the_mirrored_hash_is_that_of_the_mirrored_photo():
    photo = toy_picture(3)
    mirrored = looks_of(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert int((looks_of(photo).mirrored_bits != mirrored.bits).sum()) <= 2  # of resizing
    assert_array_equal(mirrored.bits.shape, (HASH_BITS,))
