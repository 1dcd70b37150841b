"""Which photos are shown, and what is drawn on them."""

import dataclasses
import re

import numpy as np

from acnet.evaluation.protocol import evaluate, photo_rows
from acnet.evaluation.result import EvaluationOptions, PhotoRow
from acnet.visualization.report.photo_views import base_name, choose_photos, photo_parts
from tests.evaluation.coco_content import detections_of, truth_of
from tests.visualization.report.results import photo_row as row


def indices(rows: list[PhotoRow]) -> dict[str, list[int]]:
    return {title: [row.index for row in part] for title, part in choose_photos(rows).items()}


def test_worst_by_share_worst_by_number_and_best_are_chosen():
    # F1 by hand: 0: 0/1, 1: 0/3, 2: 2/4, 3: 100/120, 4: 40/60, 5: 10/10, 6: 4/4, 7: nothing, 1.
    rows = [
        *(row(0, 0, 1, 0), row(1, 0, 1, 2), row(2, 1, 1, 1), row(3, 50, 10, 10)),
        *(row(4, 20, 10, 10), row(5, 5, 0, 0), row(6, 2, 0, 0), row(7, 0, 0, 0)),
    ]
    assert indices(rows) == {
        "Lowest F1": [1, 0, 2],  # of two with F1 0 the one with more errors
        "Most false alarms and missed lesions": [4, 3, 5],  # of 20 errors each the lower F1
        "Highest F1": [6, 7],  # what was found counts more than what was not there
    }

    # Few are all shown, and none twice.
    rows = [row(index, index, 1, 0) for index in range(5)]
    chosen = [index for part in indices(rows).values() for index in part]
    assert sorted(chosen) == [0, 1, 2, 3, 4]


def test_folders_are_left_out_of_names():
    for name in ("a.jpg", "/x/y/a.jpg", "x/a.jpg", r"C:\x\a.jpg"):
        assert base_name(name) == "a.jpg"


def lefts(svg: str) -> dict[str, list[str]]:
    """Return where the boxes of each kind begin."""
    paths = re.findall(r'class="box (\w+)" d="([^"]+)"', svg)
    return {kind: re.findall(r"M(\S+) ", path) for kind, path in paths}


def test_boxes_are_drawn_by_what_became_of_them():
    # Lesions at x = 0, 100, 200 and a crowd at 300; detections on the first, on nothing (400), on
    # the crowd, and one below the threshold on the second, which is therefore missed.
    lesions, found = (
        [[x, 0, 50, 50] for x in xs] for xs in ((0, 100, 200, 300), (0, 400, 300, 100))
    )
    truth = truth_of([0] * 4, lesions, 1, crowd=[False, False, False, True])
    detections = detections_of([0] * 4, [0.9, 0.8, 0.7, 0.2], np.array(found, dtype=float))
    result = evaluate(truth, detections, options=EvaluationOptions(replicates=0))
    of_photos = photo_rows(result.matches, 0.5, None)
    result = dataclasses.replace(result, operating_threshold=0.5, photos=of_photos)
    photo = photo_parts(result, None)["parts"][0]["photos"][0]
    assert (photo["matched"], photo["false"], photo["missed"]) == (1, 1, 2)
    wrong = {"false": ["400"], "missed": ["100", "200"]}
    assert lefts(photo["svg"]) == {"truth": ["0"], "found": ["0"], **wrong}


def test_as_many_boxes_are_drawn_as_the_caption_says(result):
    for part in photo_parts(result, None)["parts"]:
        for photo in part["photos"]:
            drawn = {kind: len(xs) for kind, xs in lefts(photo["svg"]).items()}
            said = {"found": photo["matched"], "false": photo["false"], "missed": photo["missed"]}
            assert {kind: drawn.get(kind, 0) for kind in said} == said
