"""Generated photos: what decides them, and that boxes hold lesions."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from acnet.data.toy import lesions
from acnet.data.toy.lesions import MAX_COVERED, draw_blob, is_clear, soft_edge
from acnet.data.toy.skin import SkinMaps, bare_skin, picture, smooth_noise, uneven_light
from acnet.data.toy.toy_photo import ToyOptions, draw_photo

SMALL = ToyOptions(seed=5, sizes_px=(128,), lesion_px=(6.0, 40.0))


def photos(count, **options):
    return [draw_photo(dataclasses.replace(SMALL, **options), index) for index in range(count)]


def test_the_seed_and_the_index_decide_the_pixels():
    first, again = draw_photo(SMALL, 3), draw_photo(SMALL, 3)
    assert_array_equal(first.image_bgr, again.image_bgr)
    assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)
    # [seed, index] seeds the generator as a whole: (5, 3) and (3, 5) differ, as 5 + 3 would not.
    for seed, index in ((5, 4), (6, 3), (3, 5)):
        other = draw_photo(dataclasses.replace(SMALL, seed=seed), index)
        assert (first.image_bgr != other.image_bgr).mean() > 0.5


def test_boxes_are_whole_pixels_inside_photos_of_every_size_and_sorted():
    drawn = photos(12, sizes_px=(64, (96, 80)))
    assert {photo.image_bgr.shape for photo in drawn} == {(64, 64, 3), (80, 96, 3)}
    for photo in drawn:
        assert photo.image_bgr.dtype == np.uint8
        boxes, (height, width, _) = photo.boxes_xyxy, photo.image_bgr.shape
        assert_array_equal(boxes, np.round(boxes).clip(0, [width, height, width, height]))
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert boxes[:, 1].tolist() == sorted(boxes[:, 1])


def test_lesions_overlap_little():
    pairs = 0
    for photo in photos(6, density=4.0):
        for index, box in enumerate(photo.boxes_xyxy):
            others = np.delete(photo.boxes_xyxy, index, axis=0)
            assert is_clear(tuple(box), others)
            shared = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
            pairs += (shared > 0).all(axis=1).sum()
    assert pairs > 0  # clusters do touch
    assert MAX_COVERED < 0.3  # which bounds the IoU, too: it is at most the covered share


def test_sizes_spread_over_a_decade_in_log_scale():
    rng = np.random.default_rng(0)
    sizes = lesions.sample_diameters(rng, 20000, (6.0, 80.0), 1.0)
    assert 6.0 <= sizes.min() < 6.05
    assert 79.5 < sizes.max() <= 80.0
    # Log-uniform: the quartiles divide log(80 / 6) equally, so the median is sqrt(6 * 80) = 21.9.
    quartiles = np.exp(np.quantile(np.log(sizes), [0.25, 0.5, 0.75]))
    assert_allclose(quartiles, 6 * (80 / 6) ** np.array([0.25, 0.5, 0.75]), rtol=0.05)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert_allclose(lesions.sample_diameters(rng, 5, (6.0, 80.0), 0.0), np.sqrt(480.0))


def test_counts_are_heavy_tailed():
    rng = np.random.default_rng(0)
    counts = np.array([lesions.sample_count(rng, 1.0) for _ in range(20000)])
    # 3 % have none; the rest are log-normal around 7, sigma 0.75: 95 % at 7 e^(1.645 * 0.75) = 24.
    assert np.median(counts) == 7
    assert abs((counts == 0).mean() - 0.03) < 0.005
    assert 22 <= np.quantile(counts, 0.95) <= 25
    assert max(lesions.sample_count(rng, 0.0) for _ in range(100)) == 0


def test_light_without_a_shift_is_white_and_uneven_all_the_same():
    rng = np.random.default_rng(0)
    white = uneven_light(rng, (32, 48), 0.0)
    assert_allclose(white, np.repeat(white[..., :1], 3, axis=2))
    cast = np.log(uneven_light(rng, (32, 48), 1.0))
    assert np.ptp(cast, axis=2).mean() > 0.02
    assert np.ptp(white) > 0.05


def test_a_blob_is_as_large_as_asked_and_its_box_is_tight():
    rng = np.random.default_rng(0)
    for diameter in (6.0, 20.0, 80.0):
        sides = []
        for _ in range(50):
            blob = draw_blob(rng, center_xy=(200.3, 150.8), diameter=diameter)
            x0, y0, x1, y1 = blob.box_xyxy()
            inside = np.zeros((400, 500), bool)
            height, width = blob.rho.shape
            inside[blob.top : blob.top + height, blob.left : blob.left + width] = blob.rho <= 1
            rows, columns = np.nonzero(inside)
            assert (columns.min(), rows.min()) == (x0, y0)
            assert (columns.max() + 1, rows.max() + 1) == (x1, y1)
            sides.append(np.sqrt((x1 - x0) * (y1 - y0)))
        assert abs(np.mean(sides) / diameter - 1) < 0.12


def test_a_smooth_circle_is_the_special_case_and_its_edge_is_half_on_the_rim():
    edge = soft_edge(np.array([0.0, 0.7, 1.0, 1.3, 2.0]), 0.25)
    assert_allclose(edge, [1, 1, 0.5, 0, 0])
    circle = {"center_xy": (50.0, 50.0), "diameter": 20.0, "roughness": 0, "max_aspect": 1}
    blob = draw_blob(np.random.default_rng(0), **circle)
    assert blob.box_xyxy() == (40, 40, 60, 60)
    # The pixel whose centre is (55.5, 50.5): sqrt(5.5^2 + 0.5^2) = 5.523 of a radius of 10.
    assert_allclose(blob.rho[50 - blob.top, 55 - blob.left], 0.5523, rtol=1e-3)


def test_lesions_are_redder_than_the_skin_around_them():
    differences = []
    for photo in photos(20):
        blue_green = photo.image_bgr[..., :2].astype(float).mean(axis=2)
        redness = photo.image_bgr[..., 2] / (blue_green + 1)
        for x0, y0, x1, y1 in photo.boxes_xyxy.astype(int):
            ring = redness[max(y0 - 6, 0) : y1 + 6, max(x0 - 6, 0) : x1 + 6]
            differences.append(redness[y0:y1, x0:x1].mean() - ring.mean())
    assert np.mean(np.array(differences) > 0) > 0.75  # most, and not all: some are pale or faint


def test_moles_are_there_to_confuse():
    """Without lesions there still are dark spots: darkness alone finds no acne."""
    grey = [photo.image_bgr.mean(axis=2) for photo in photos(12, density=0.0)]
    assert np.median([np.percentile(image, 0.5) / np.median(image) for image in grey]) < 0.8


def test_pigment_darkens_blue_most_and_blood_green():
    def colour(**layers):
        values = dict.fromkeys(("melanin", "blood", "height", "pus", "hair"), 0.0) | layers
        maps = {name: np.full((32, 32), value, np.float32) for name, value in values.items()}
        light = np.ones((32, 32, 3), np.float32)
        return picture(np.random.default_rng(0), SkinMaps(**maps), light).mean(axis=(0, 1))

    bare = colour()
    blue, green, red = colour(melanin=0.5) / bare
    assert blue < green < red < 1
    blue, green, red = colour(blood=0.5) / bare
    assert green < blue < red < 1


@pytest.mark.parametrize("image_hw", [(1, 1), (3, 40)])
def test_skin_of_any_size(image_hw):
    rng = np.random.default_rng(0)
    noise = smooth_noise(rng, (256, 300), 4.0)
    assert abs(noise.mean()) < 0.1
    assert 0.6 < noise.std() < 1.1
    image = picture(rng, bare_skin(rng, image_hw), uneven_light(rng, image_hw, 1.0))
    assert image.shape == (*image_hw, 3)


def test_no_lesions_and_what_fits_a_tiny_photo():
    photo = draw_photo(ToyOptions(sizes_px=(8,), density=5.0), 0)
    assert photo.image_bgr.shape == (8, 8, 3)
    assert (photo.boxes_xyxy <= 8).all()
    assert photos(1, density=0.0)[0].boxes_xyxy.shape == (0, 4)
    assert lesions.place_lesions(np.random.default_rng(0), (50, 50), np.zeros(0)) == []
