"""The match: equal to pycocotools' detection by detection, and by hand where its rules show."""

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.evaluation import COCO_IOUS, COCO_RANGES, DEFAULT_RANGES
from tests.evaluation.coco_content import match_lesions, match_rows
from tests.evaluation.random_sets import random_set, run_pycocotools


@pytest.mark.parametrize("seed", range(20))
def test_each_detection_is_matched_and_ignored_as_in_pycocotools(seed):
    content, results = random_set(seed, num_classes=1 + seed % 3)
    cap = 5 if seed % 2 else 100
    matches = match_rows(content, results, max_detections=[cap, 100])
    ground_truth, detections = matches.ground_truth, matches.detections
    ranges = [[size.low, size.high] for size in DEFAULT_RANGES]
    reference = run_pycocotools(content, results, caps=[cap], area_ranges=ranges)
    annotation_ids = np.array(
        [a["id"] for a in sorted(content["annotations"], key=lambda a: a["image_id"])]
    )
    compared = 0
    for one in filter(None, reference.evalImgs):
        photo = ground_truth.image_ids.tolist().index(one["image_id"])
        class_index = ground_truth.category_ids.tolist().index(one["category_id"])
        rows = (detections.photo == photo) & (detections.classes == class_index)
        rows &= matches.rank < cap
        suffix = DEFAULT_RANGES[ranges.index(one["aRng"])].suffix
        for index, iou in enumerate(COCO_IOUS):
            expected = one["dtMatches"][index]
            assert matches.matched(iou=iou, suffix=suffix)[rows].tolist() == (expected > 0).tolist()
            ignored = matches.ignored(iou=iou, suffix=suffix)[rows]
            assert ignored.tolist() == one["dtIgnore"][index].tolist()
            if suffix == "":
                partners = matches.matched_gt(iou=iou)[rows]
                ids = np.where(partners >= 0, annotation_ids[partners], 0)
                assert ids.tolist() == expected.tolist()
        compared += rows.sum()
    assert compared > 50


@pytest.mark.parametrize(
    ("box", "found", "best", "ious", "matched"),
    [
        # (8.6 + 7.3) - 8.6 is not 7.3 to the last bit.
        ([8.6, 0.3, 7.3, 1.8], [8.6, 0.3, 7.3, 1.8], 1, [0.5, 1.0], [True, True]),
        # 10x10 on 10x20: 100 / 200 = 0.5.
        ([0, 0, 10, 20], [0, 0, 10, 10], 0.5, [0.5, 0.55], [True, False]),
        # Boxes without area match nothing.
        ([5.0, 5.0, 0.0, 10.0], [5.0, 5.0, 0.0, 10.0], 0, [0.5, 1.0], [False, False]),
    ],
)
def test_an_iou_equal_to_the_threshold_is_a_match(box, found, best, ious, matched):
    matches = match_lesions([box], [(found, 0.9)], iou_thresholds=ious)
    assert matches.best_iou[0] == pytest.approx(best, abs=1e-9)
    assert [bool(matches.matched(iou=iou)[0]) for iou in ious] == matched


def test_better_scores_choose_first_and_equal_ones_in_the_order_of_the_file():
    left, right = [0.0, 0.0, 10.0, 10.0], [10.0, 0.0, 10.0, 10.0]
    matches = match_lesions([left], [(left, 0.6), ([0, 0, 10, 8], 0.7)])
    assert matches.detections.scores.tolist() == [0.7, 0.6]
    assert matches.matched(iou=0.5).tolist() == [True, False]
    assert matches.matched(iou=0.9).tolist() == [False, True]  # 0.8 does not reach 0.9
    both = [0.0, 0.0, 20.0, 10.0]  # IoU 0.5 with either
    matches = match_lesions([left, right], [(both, 0.5), (both, 0.5), (both, 0.5)])
    assert matches.matched_gt(iou=0.5).tolist() == [1, 0, -1]  # of equal IoUs the later box
    assert matches.best_gt.tolist() == [0, 0, 0]  # the first, as VOC takes it


def test_a_crowd_excuses_any_number_of_detections_and_yields_to_a_lesion():
    # Each detection lies in the crowd with all of its area; the first is also a lesion's.
    matches = match_lesions(
        [{"bbox": [0, 0, 100, 100], "iscrowd": 1}, [10, 10, 20, 20]],
        [([10, 10, 20, 20], 0.9), ([50, 50, 10, 10], 0.8), ([60, 60, 10, 10], 0.7)],
    )
    assert matches.matched_gt().tolist() == [1, 0, 0]
    assert matches.ignored().tolist() == [False, True, True]
    assert matches.num_gt[0, 0, 0] == 1
    assert matches.best_gt.tolist() == [1, -1, -1]  # crowds are no boxes there


def test_beyond_the_last_cap_nothing_is_matched():
    left, right, far = [0, 0, 10, 10], [20, 0, 10, 10], [50, 50, 5, 5]
    matches = match_lesions(
        [left, right], [(far, 0.9), (left, 0.8), (right, 0.7)], max_detections=[1, 2]
    )
    assert matches.rank.tolist() == [0, 1, 2]
    assert matches.matched().tolist() == [False, True, False]
    assert matches.ignored().tolist() == [False, False, True]
    assert matches.matched_gt().tolist() == [-1, 0, -1]
    assert matches.centre_gt.tolist() == [-1, 0, -1]


def test_more_lesions_than_the_cap_are_refused_with_the_photo_and_the_remedy():
    boxes = [[20.0 * i, 0.0, 10.0, 10.0] for i in range(11)]
    with pytest.raises(UserError, match=r"11 lesions of 'acne' in 1.jpg") as error:
        match_lesions(boxes, [], max_detections=[5, 10])
    assert str(error.value).endswith("max_dets_per_image) to 11 or more.")
    assert match_lesions(boxes, [], max_detections=[5, 11]).caps == (5, 11)


def test_centre_rule_gives_the_nearest_free_lesion():
    # Centres of the lesions at 10 and 20, of the detections at 16, 17 and 11.
    lesions = [[0, 0, 20, 20], [10, 0, 20, 20]]
    found = [([15.0, 9, 2, 2], 0.9), ([16.0, 9, 2, 2], 0.8), ([10.0, 9, 2, 2], 0.7)]
    matches = match_lesions(lesions, found)
    assert matches.centre_gt.tolist() == [1, 0, -1]
    assert matches.centre_near.tolist() == [True, True, True]
    near = match_lesions(lesions, found, centre_radius_px=4.0)
    assert near.centre_gt.tolist() == [1, -1, 0]  # 17 is 7 away from the free lesion
    assert near.centre_near.tolist() == [True, True, True]


def test_no_detections_and_no_lesions():
    box = [0.0, 0.0, 10.0, 10.0]
    assert match_lesions([box], []).matched().tolist() == []
    assert match_lesions([], []).num_gt.tolist() == [[[0] * len(DEFAULT_RANGES)]]
    nowhere = match_lesions([], [(box, 0.5)])
    assert nowhere.matched().tolist() == [False]
    assert nowhere.ignored().tolist() == [False]
    assert nowhere.ignored(suffix="l").tolist() == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({"iou_thresholds": ious}, "must rise")
            for ious in ([0, 0.5], [0.5, 0.5], [], [0.5, 1.1])
        ),
        ({"max_detections": [0, 100]}, "at least 1"),
        ({"max_detections": []}, "at least 1"),
        ({"size_ranges": COCO_RANGES[1:]}, "that of all sizes"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        match_lesions([], [], **options)


def test_what_was_not_matched_at_is_refused():
    matches = match_lesions([], [])
    with pytest.raises(ValueError, match=r"Received 0.3, .*add it to match\(iou_thresholds=\)"):
        matches.matched(iou=0.3)
    with pytest.raises(ValueError, match=r"Received 'xl', .*add it to match\(size_ranges=\)"):
        matches.ignored(suffix="xl")
    with pytest.raises(ValueError, match=r"Received 7, .*add it to match\(max_detections=\)"):
        matches.check_cap(7)
