"""ACNet as a model of SAHI, where SAHI is installed."""

import importlib.util

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.inference import TilingOptions, load
from acnet.integrations.sahi import ACNetDetectionModel

HAS_SAHI = importlib.util.find_spec("sahi") is not None
needs_sahi = pytest.mark.skipif(
    not HAS_SAHI, reason="needs SAHI, which acnet does not depend on: pip install sahi==0.12.8"
)
CONFIG = "toy/acnet_r18"


@pytest.fixture(scope="module")
def predictor(tiny_weights):
    """Return a predictor in fp32 that takes slices as they are."""
    tiling = TilingOptions(tile_px=None)
    return load(tiny_weights, config=CONFIG, tiling=tiling, precision="float32")


def photo_rgb(height: int = 100, width: int = 150) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def model(predictor):
    return ACNetDetectionModel(model=predictor, device="cpu", confidence_threshold=0.1)


@pytest.mark.skipif(HAS_SAHI, reason="SAHI is installed")
def test_without_sahi_the_error_says_what_to_install():
    with pytest.raises(UserError, match="pip install 'sahi"):
        ACNetDetectionModel(model_path="model.pth")


@needs_sahi
def test_a_slice_gives_what_the_predictor_gives(predictor, model):
    from sahi.predict import get_prediction

    found = get_prediction(photo_rgb(), model).object_prediction_list
    expected = predictor(photo_rgb()[:, :, ::-1])
    expected = expected[expected.scores >= 0.1]
    assert len(found) == len(expected) > 0
    assert [one.score.value for one in found] == pytest.approx(expected.scores.tolist())
    boxes = [one.bbox.to_xyxy() for one in found]
    np.testing.assert_allclose(boxes, expected.pred_boxes.tensor, atol=1e-3)
    assert {one.category.name for one in found} == {"acne"}


@needs_sahi
@pytest.mark.parametrize("batch_size", [1, 4])
def test_slices_are_put_where_they_are(model, batch_size):
    from sahi.predict import get_sliced_prediction

    options = {"perform_standard_pred": False, "batch_size": batch_size, "verbose": 0}
    result = get_sliced_prediction(photo_rgb(), model, *(64, 64, 0.25, 0.25), **options)
    boxes = np.array([one.bbox.to_xyxy() for one in result.object_prediction_list])
    assert len(boxes) > 10
    assert boxes[:, 2].max() > 120
    assert boxes[:, 2].max() <= 150
    assert boxes[:, 3].max() <= 100


@needs_sahi
def test_weights_and_a_config_are_enough_and_no_weights_are_refused(tiny_weights):
    model = ACNetDetectionModel(model_path=str(tiny_weights), config_path=CONFIG, device="cpu")
    assert model.num_categories == 1
    assert model.category_names == ["acne"]
    with pytest.raises(UserError, match="neither model_path nor model"):
        ACNetDetectionModel(device="cpu")
