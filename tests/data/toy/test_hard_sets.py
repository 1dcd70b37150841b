"""The four test sets: one property differs, the scenes are the same, and they load by name."""

import dataclasses
import json

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from numpy.testing import assert_allclose, assert_array_equal

from acnet.cli import main
from acnet.data.prepared_set import TOY_TESTS, PreparedLayout
from acnet.data.register import register_all, register_paths
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.data.toy.toy_set import HARDER, ToyTests
from acnet.errors import UserError

PHOTOS = 16
TESTS = ToyTests()


@pytest.fixture(scope="module")
def drawn():
    """The photos of the four sets by name, drawn and not written."""
    return {
        name: [draw_photo(TESTS.options(name), index) for index in range(PHOTOS)]
        for name in TOY_TESTS
    }


def counts(photos):
    return np.array([len(photo.boxes_xyxy) for photo in photos])


def log_sizes(photos):
    """The logarithm of each lesion's size, the square root of its box's area."""
    boxes = np.concatenate([photo.boxes_xyxy for photo in photos])
    return np.log((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)) / 2


def tints(photos):
    """(photos, 2) logarithms of blue and of red over green, as the light and the skin make them."""
    bgr = np.array([np.median(photo.image_bgr, axis=(0, 1)) for photo in photos])
    return np.log(bgr[:, [0, 2]] / bgr[:, [1]])


def test_each_set_changes_one_knob_of_the_mixed_one():
    assert tuple(HARDER) == TOY_TESTS
    mixed = dataclasses.asdict(TESTS.options("mixed"))
    trained_on = ToyOptions(seed=TESTS.seed, sizes_px=(320,), paired=True)
    assert mixed == dataclasses.asdict(trained_on)  # its knobs are those of `acnet data toy`
    knobs = {"colour": "colour_shift", "scale": "scale_spread", "density": "density"}
    for name, knob in knobs.items():
        other = dataclasses.asdict(TESTS.options(name))
        assert [key for key in mixed if mixed[key] != other[key]] == [knob]
        assert other[knob] > mixed[knob]


def test_colour_changes_the_light_and_nothing_else(drawn):
    for mixed, colour in zip(drawn["mixed"], drawn["colour"], strict=True):
        assert_array_equal(colour.boxes_xyxy, mixed.boxes_xyxy)
        # The tint sums to zero over the channels, so the product of the three stays where none of
        # them is clipped: in the darker half of the photo at least.
        product, shifted = (
            np.log1p(photo.image_bgr.astype(float)).sum(axis=2) for photo in (mixed, colour)
        )
        dark = mixed.image_bgr.max(axis=2) < 100
        if dark.mean() > 0.2:
            assert abs((shifted - product)[dark].mean()) < 0.1
    # Three times the cast: what photos differ by in tint, skin included, at least doubles.
    assert (tints(drawn["colour"]).std(axis=0) > 2 * tints(drawn["mixed"]).std(axis=0)).all()


def test_scale_changes_the_sizes_and_neither_number_nor_colour(drawn):
    mixed, scale = log_sizes(drawn["mixed"]), log_sizes(drawn["scale"])
    assert_allclose(scale.std() / mixed.std(), 1.4, atol=0.1)  # it is log-uniform 1.4 times as wide
    assert abs(np.median(scale) - np.median(mixed)) < 0.2
    numbers = counts(drawn["scale"]) / np.maximum(counts(drawn["mixed"]), 1)
    assert (numbers <= 1).all()
    assert (numbers > 0.85).all()  # in a full photo some find no place
    assert numbers.mean() > 0.98
    assert_allclose(tints(drawn["scale"]), tints(drawn["mixed"]), atol=0.12)


def test_density_changes_the_number_and_neither_sizes_nor_colour(drawn):
    mixed, dense = counts(drawn["mixed"]), counts(drawn["density"])
    assert_allclose(dense.sum() / mixed.sum(), 3.0, atol=0.25)
    assert (dense[mixed > 0] > 2 * mixed[mixed > 0]).mean() > 0.9
    few, many = log_sizes(drawn["mixed"]), log_sizes(drawn["density"])
    assert abs(many.mean() - few.mean()) < 0.15
    assert_allclose(many.std() / few.std(), 1.0, atol=0.15)
    # Where lesions cover half of a photo its median is theirs; that is density, not light.
    assert np.median(np.abs(tints(drawn["density"]) - tints(drawn["mixed"]))) < 0.03


def test_the_scenes_are_the_same(drawn):
    """Beside the lesions the pixels of scale and density are those of mixed, within two levels."""

    def equal_share(others):
        pairs = zip(drawn["mixed"], others, strict=True)
        near = (np.abs(a.image_bgr.astype(int) - b.image_bgr) <= 2 for a, b in pairs)
        return np.median([pixels.all(axis=2).mean() for pixels in near])

    for name in ("scale", "density"):
        assert equal_share(drawn[name]) > 0.5
        assert equal_share(drawn[name][1:] + drawn[name][:1]) < 0.05  # of another scene
    # A training set of the same seed has other scenes.
    trained_on = draw_photo(ToyOptions(seed=TESTS.seed, sizes_px=(320,)), 0)
    assert (trained_on.image_bgr != drawn["mixed"][0].image_bgr).mean() > 0.5


def test_the_command_writes_one_set_of_four_splits_that_load_by_name_and_by_path(tmp_path):
    layout = PreparedLayout(tmp_path, "toy_tests")
    command = ["data", "toy-tests", str(layout.folder), "--photos", "5", "--size", "64"]
    assert main.main([*command, "--workers", "1"]) == 0
    manifest = json.loads(layout.manifest.read_text())
    assert tuple(manifest["splits"]) == TOY_TESTS
    assert manifest["command"].endswith("toy_tests --photos 5 --size 64")
    for name in TOY_TESTS:
        content = json.loads(layout.annotations(name).read_text())
        assert len(content["images"]) == 5
        options = dataclasses.replace(TESTS, size_px=64).options(name)
        boxes = sum(len(draw_photo(options, index).boxes_xyxy) for index in range(5))
        assert len(content["annotations"]) == boxes
    register_all(tmp_path)
    path = f"{layout.folder}:colour"
    register_paths([path])
    by_name, by_path = (DatasetCatalog.get(name) for name in ("toy_tests_colour", path))
    DatasetCatalog.remove(path)
    assert len(by_name) == 5
    assert "toy_tests_photos/colour/" in by_name[0]["file_name"]
    assert [one["file_name"] for one in by_path] == [one["file_name"] for one in by_name]


def test_before_they_are_drawn_the_name_tells_the_command(tmp_path):
    register_all(tmp_path)
    with pytest.raises(UserError, match=r"acnet data toy-tests .*toy_tests$"):
        DatasetCatalog.get("toy_tests_scale")
