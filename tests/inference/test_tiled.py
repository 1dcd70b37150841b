"""Photos larger than a tile: the tiles' own answers, merged, whatever the batch."""

import dataclasses

import numpy as np
import pytest
import torch
from detectron2.config import LazyCall
from detectron2.data import transforms as T

from acnet.config import load_config
from acnet.errors import UserError
from acnet.inference import MergeOptions, Predictor, TilingOptions, load
from acnet.inference.eager import resize_by
from acnet.photos.merge import TileDetections, merge_tiles
from tests.export.models import IN_FP32, picture

CONFIG = "toy/acnet_r18"
TILING = TilingOptions(tile_px=64, overlap_px=16, slack_px=None)
PHOTO_HW = (100, 150)  # 2 x 3 tiles of 64
PHOTO, SQUARE = picture(*PHOTO_HW), picture(64, 64)


@pytest.fixture(scope="module")
def predictor(tiny_weights):
    """Return a predictor in fp32 with tiny tiles."""
    return load(tiny_weights, config=load_config(CONFIG, [IN_FP32]), tiling=TILING)


def with_tiling(predictor: Predictor, **changes) -> Predictor:
    """The same model, cut otherwise."""
    other = object.__new__(Predictor)
    other.__dict__ |= predictor.__dict__
    other.tiling = dataclasses.replace(predictor.tiling, **changes)
    return other


def assert_same(ours, theirs, **tolerance):
    assert ours.image_size == theirs.image_size
    torch.testing.assert_close(ours.pred_boxes.tensor, theirs.pred_boxes.tensor, **tolerance)
    torch.testing.assert_close(ours.scores, theirs.scores, **tolerance)


@pytest.mark.parametrize("hw", [(64, 64), (64, 30), (17, 64), (1, 1)])
def test_a_photo_of_one_tile_is_the_models_own_output_to_the_bit(predictor, hw):
    image = torch.from_numpy(picture(*hw).transpose(2, 0, 1).copy())
    with torch.inference_mode(), predictor.precision.autocast():
        expected = predictor.model([{"image": image, "height": hw[0], "width": hw[1]}])
    assert_same(predictor(picture(*hw)), expected[0]["instances"], rtol=0, atol=0)


def test_a_large_photo_is_its_tiles_answers_merged(predictor):
    tiles = TILING.tiles(PHOTO_HW)
    assert len(tiles) == 6
    columns = [[], [], [], []]
    for index, (left, top, right, bottom) in enumerate(tiles.tolist()):
        answer = predictor(PHOTO[top:bottom, left:right])
        columns[0].append(answer.pred_boxes.tensor.numpy() + np.array([left, top] * 2))
        columns[1].append(answer.scores.numpy())
        columns[2].append(answer.pred_classes.numpy())
        columns[3].append(np.full(len(answer), index))
    found = TileDetections(
        boxes_xyxy=np.concatenate(columns[0]).astype(np.float32),
        scores=np.concatenate(columns[1]),
        classes=np.concatenate(columns[2]),
        tiles=np.concatenate(columns[3]),
    )
    expected = merge_tiles(found, tiles, PHOTO_HW, MergeOptions())
    answer = predictor(PHOTO)
    assert len(answer) > 20
    np.testing.assert_array_equal(answer.pred_boxes.tensor.numpy(), expected.boxes_xyxy)
    np.testing.assert_array_equal(answer.scores.numpy(), expected.scores)


def test_tiles_answer_for_their_parts(predictor):
    # Parts that hold the whole tile change nothing; the usual ones leave no detection whose
    # proposal was elsewhere, and find all that each tile finds in the middle of its part.
    everything = predictor(PHOTO)
    assert_same(with_tiling(predictor, slack_px=1000.0)(PHOTO), everything, rtol=0, atol=0)
    some = with_tiling(predictor, slack_px=0.0)(PHOTO)
    assert 20 < len(some) < len(everything)


def test_tiles_may_take_turns(predictor, monkeypatch):
    few = with_tiling(predictor, slack_px=0.0)
    expected = few(PHOTO)
    monkeypatch.setattr(few.model, "takes_turns", True)
    assert_same(few(PHOTO), expected, rtol=0, atol=1e-3)


FAR = np.inf
HALVES = {  # of a picture of 64 x 64: which side, and the part
    "left": (0, [-FAR, -FAR, 32, FAR]),
    "top": (1, [-FAR, -FAR, FAR, 32]),
    "right": (0, [32, -FAR, FAR, FAR]),
    "bottom": (1, [-FAR, 32, FAR, FAR]),
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("resize", [False, True])
def test_parts_are_in_the_pictures_own_pixels(predictor, half, resize):
    if resize:  # the model sees 128 x 128
        predictor = with_tiling(predictor)
        resize = resize_by([T.Resize((128, 128))])
        predictor._loaded = dataclasses.replace(predictor._loaded, resize=resize)
    axis, part = HALVES[half]
    (found,) = predictor.detect_whole([SQUARE], [np.array(part, float)])
    whole = predictor.detect_whole([SQUARE])[0]
    assert 0 < len(found) < len(whole)
    centres = found.pred_boxes.get_centers()[:, axis]
    # The head moves boxes a little from their proposals.
    if half in ("left", "top"):
        assert centres.max() < 45
    else:
        assert centres.min() > 19
    others = whole.pred_boxes.get_centers()[:, axis]
    assert others.min() < 19
    assert others.max() > 45
    (nothing,) = predictor.detect_whole([SQUARE], [np.array([1000.0, 1000, 1001, 1001])])
    assert nothing.pred_boxes.tensor.shape == (0, 4)


@pytest.mark.parametrize("slack_px", [None, 4.0])
@pytest.mark.parametrize("batch_size", [4, 100])
def test_the_batch_does_not_change_the_answer(predictor, batch_size, slack_px):
    one_by_one = with_tiling(predictor, slack_px=slack_px)(PHOTO)
    batched = with_tiling(predictor, slack_px=slack_px, batch_size=batch_size)(PHOTO)
    assert_same(batched, one_by_one, rtol=1e-4, atol=1e-3)


def test_the_batch_does_not_change_what_a_tile_gives_in_bfloat16(tiny_weights):
    # The kernel for a batch may add up in another order, and bfloat16 keeps 8 bits; what is found,
    # and what the scores are to 1/100, must be the same for the clearest detections.
    predictor = load(tiny_weights, config=CONFIG, tiling=TILING, precision="bfloat16")
    tiles = [SQUARE[:, ::step] for step in (1, -1)]
    alone = [predictor.detect_whole([tile])[0] for tile in tiles]
    for one, together in zip(alone, predictor.detect_whole(tiles), strict=True):
        torch.testing.assert_close(together.scores[:10], one.scores[:10], rtol=0, atol=1e-2)


def test_neighbours_in_the_batch_do_not_change_a_tile(predictor):
    tiles = [SQUARE, 255 - SQUARE, np.zeros((64, 64, 3), np.uint8)]
    alone = predictor.detect_whole(tiles[:1])[0]
    assert_same(predictor.detect_whole(tiles)[0], alone, rtol=1e-4, atol=1e-3)
    assert_same(predictor.detect_whole(tiles[::-1])[2], alone, rtol=1e-4, atol=1e-3)


def test_progress_is_told_after_each_batch_and_tiles_can_be_switched_off(predictor):
    told = []
    batched = with_tiling(predictor, batch_size=4)
    batched(PHOTO, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 6), (6, 6)]
    whole = with_tiling(predictor, tile_px=None)
    assert_same(whole(PHOTO), predictor.detect_whole([PHOTO])[0], rtol=0, atol=0)


def test_a_model_that_sees_resized_photos_gets_them_whole(tiny_weights):
    cfg = load_config(CONFIG, [IN_FP32])
    assert load(tiny_weights, config=cfg).tiling == TilingOptions()
    resize = LazyCall(T.ResizeShortestEdge)(short_edge_length=32, max_size=64)
    cfg.dataloader.test.mapper.augmentations = [resize]
    assert load(tiny_weights, config=cfg).tiling.tile_px is None
    assert load(tiny_weights, config=cfg, tiling=TILING).tiling == TILING


def test_a_photo_without_detections(predictor):
    other = with_tiling(predictor)
    other.merge = MergeOptions(score_floor=0.999)
    answer = other(PHOTO)
    assert answer.image_size == PHOTO_HW
    assert answer.pred_boxes.tensor.shape == (0, 4)
    assert answer.scores.dtype == torch.float32
    assert answer.pred_classes.dtype == torch.int64


def test_saliency_of_tiles_covers_the_photo(predictor):
    told = []
    saliency = predictor.saliency(PHOTO, progress=lambda *done: told.append(done))
    assert saliency.shape == (13, 19)  # 100 / 8 and 150 / 8, rounded up
    assert saliency.dtype == np.float32
    assert 0 <= saliency.min() < saliency.max() <= 1
    assert told[-1] == (6, 6)


@pytest.mark.parametrize(
    "options",
    [
        *({"batch_size": 0}, {"overlap_px": -1}, {"tile_px": 64, "overlap_px": 64}),
        *({"tile_px": 0}, {"slack_px": -1}),
    ],
)
def test_impossible_tiles_are_refused(options):
    with pytest.raises(UserError, match="Received"):
        TilingOptions(**options)
