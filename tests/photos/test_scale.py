"""The size at which a photo is seen: from the training, and from the lesions that are found."""

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.photos.merge import TileDetections
from acnet.photos.scale import PhotoSizing, lesion_size, resize, see, seen_otherwise

TRAINED = PhotoSizing(size_px=640, lesion_px=32.0)
HW = (1280, 960)  # where a lesion of the trained size measures 64


def squares(side: float, count: int = 50, score: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.tile(np.array([100, 100, 100 + side, 100 + side], np.float32), (count, 1))
    return boxes, np.full(count, score, np.float32)


def look_for(side: float, seen: list[tuple[int, int]]):
    """Find 50 lesions of this size in a photo of HW, whatever it is resized to."""

    def look(picture: np.ndarray) -> TileDetections:
        seen.append(picture.shape[:2])
        boxes, scores = squares(side)
        zeros = np.zeros(len(scores), np.int64)
        boxes = boxes * np.float32(max(picture.shape) / max(HW))
        return TileDetections(boxes_xyxy=boxes, scores=scores, classes=zeros, tiles=zeros)

    return look


@pytest.mark.parametrize(
    ("side", "size_px"),
    [
        (64, 640),  # as in training
        (75, 640),  # 1.17 times as large: good enough
        (55, 640),
        (88, 453),  # 1.37 times: not
        (47, 905),
        (32, 1280),  # half as large: seen twice as large
        (128, 320),
        (16, 2560),
        (4, 2560),  # four times the trained size is the most
        (900, 160),
    ],
)
def test_lesions_are_brought_to_their_size_in_training(side, size_px):
    assert TRAINED.following(640, HW, *squares(side)) == size_px


def test_the_choice_does_not_depend_on_the_size_at_which_they_were_found():
    assert {TRAINED.following(now, HW, *squares(32)) for now in (320, 640, 1280)} == {1280}


def test_few_or_weak_detections_change_nothing():
    assert TRAINED.following(640, HW, *squares(32, count=0)) == 640
    assert TRAINED.following(640, HW, *squares(32, count=50, score=0.05)) == 640
    # A quarter of a lesion half as large, against one of the trained size: by 2 ** (1 / 5).
    assert TRAINED.following(640, HW, *squares(32, count=1, score=0.25)) == 640


def test_a_photo_is_never_blown_up_to_more_than_twice_its_own_pixels():
    sizing = PhotoSizing(size_px=640, lesion_px=32.0)
    assert sizing.first((100, 80)) == 200
    assert sizing.following(640, (320, 320), *squares(8)) == 640


def test_sure_detections_weigh_more():
    # Of 0.9 + 0.9 + 0.3 + 0.3 + 0.3 the middle lies in the second of the larger ones.
    sides = np.array([20, 20, 10, 10, 10.0])
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    scores = np.array([0.9, 0.9, 0.3, 0.3, 0.3])
    assert lesion_size(boxes, scores, prior_px=20) == pytest.approx(20)
    assert lesion_size(boxes, scores[::-1], prior_px=10) == pytest.approx(10)


def test_nothing_found_is_as_believed():
    assert lesion_size(np.empty((0, 4)), np.empty(0), prior_px=7) == 7
    assert lesion_size(np.zeros((3, 4)), np.ones(3), prior_px=7) == 7  # boxes without area


def test_a_photo_is_seen_again_until_lesions_measure_what_they_should():
    seen = []
    found = see(np.zeros((*HW, 3), np.uint8), TRAINED, look_for(32, seen))
    assert seen == [(640, 480), (1280, 960)]
    assert found.photo_size_px == 1280
    np.testing.assert_allclose(found.boxes_xyxy, squares(32)[0])


def test_a_photo_as_in_training_is_seen_once_and_boxes_come_back_in_its_own_pixels():
    seen = []
    found = see(np.zeros((*HW, 3), np.uint8), TRAINED, look_for(64, seen))
    assert seen == [(640, 480)]
    np.testing.assert_allclose(found.boxes_xyxy, squares(64)[0], rtol=1e-6)


def test_native_photos_are_seen_as_they_are():
    photo_bgr = np.zeros((*HW, 3), np.uint8)
    for sizing in (PhotoSizing(), PhotoSizing(size_px=640, lesion_px=32.0, wanted="native")):
        given = []
        found = see(
            photo_bgr, sizing, lambda one, kept=given: kept.append(one) or look_for(9, [])(one)
        )
        assert given[0] is photo_bgr
        assert len(given) == 1
        assert found.photo_size_px == 1280


def test_a_size_that_is_asked_for_is_taken():
    seen = []
    sizing = PhotoSizing(size_px=640, lesion_px=32.0, wanted=960)
    assert see(np.zeros((*HW, 3), np.uint8), sizing, look_for(16, seen)).photo_size_px == 960
    assert seen == [(960, 720)]


def test_boxes_stay_in_the_photo():
    # A photo of 3 x 1000 becomes 2 x 640, whose boxes are stretched by 1.5 and 1.5625.
    def look(picture):
        height, width = picture.shape[:2]
        zeros = np.zeros(1, np.int64)
        boxes = np.array([[0, 0, width, height]], np.float32)
        return TileDetections(boxes_xyxy=boxes, scores=np.ones(1), classes=zeros, tiles=zeros)

    found = see(np.zeros((3, 1000, 3), np.uint8), PhotoSizing(size_px=640), look)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 1000, 3]])


@pytest.mark.parametrize(
    ("sizing", "name", "merge_name"),
    [
        (PhotoSizing(), "native", "nms"),
        (PhotoSizing(size_px=640), "640", "nms, photo size 640"),
        (TRAINED, "auto", "nms, photo size auto"),
        (PhotoSizing(wanted=640), "640", "nms, photo size 640"),
        (PhotoSizing(size_px=640, lesion_px=32.0, wanted="native"), "native", "nms"),
    ],
)
def test_what_chooses_the_size_has_a_name(sizing, name, merge_name):
    assert sizing.name == name
    assert sizing.merge_name == merge_name


def test_smaller_pictures_hold_the_mean_of_the_pixels():
    photo_bgr = np.zeros((4, 8, 3), np.uint8)
    photo_bgr[:, ::2] = 100
    assert (resize(photo_bgr, 4) == 50).all()
    assert resize(photo_bgr, 4).shape == (2, 4, 3)
    assert resize(photo_bgr, 16).shape == (8, 16, 3)
    assert resize(np.zeros((1, 900, 3), np.uint8), 32).shape == (1, 32, 3)


def test_another_size_than_that_of_the_training_is_told():
    assert seen_otherwise(1280, 640) == "seen at 1280 px, trained at 640 px"
    assert seen_otherwise(640, 640) == seen_otherwise(1280, None) == ""


@pytest.mark.parametrize("wanted", [0, 20_000, "large", 64.5])
def test_sizes_out_of_range_are_refused(wanted):
    with pytest.raises(UserError, match="auto, native, or a long side of 32 to 16384"):
        PhotoSizing(wanted=wanted)
