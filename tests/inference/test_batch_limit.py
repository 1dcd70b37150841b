"""A photo with more detections than are kept is not counted short without a word."""

import logging

import pytest

from acnet.inference.batch import SMALLEST_LIMIT, collect
from acnet.inference.counts import CountRule
from acnet.inference.parts import Part, PartStore
from acnet.inference.photo_worker import Job
from acnet.inference.sources import Source


@pytest.mark.parametrize(
    ("rows", "weakest", "is_told"),
    [
        (SMALLEST_LIMIT, 0.5, True),  # all that was kept counts: there may be more
        (SMALLEST_LIMIT, 0.49, False),  # the weakest does not count, and neither would others
        (SMALLEST_LIMIT - 1, 0.5, False),  # too few to have been cut off
        (0, 0.0, False),
    ],
)
def test_a_photo_at_the_limit_is_named(tmp_path, caplog, rows, weakest, is_told):
    store = PartStore(tmp_path)
    scores = [0.9] * (rows - 1) + [weakest] * (rows > 0)
    found = [{"category_id": 1, "bbox": [0.0, 0.0, 1.0, 1.0], "score": score} for score in scores]
    store.write("key", Part(image_hw=(5, 7), rows=found, seconds=0.5, drawn="now", files={}))
    job = Job(image_id=1, source=Source(tmp_path / "a.jpg", "a.jpg", "a"), key="key")
    with caplog.at_level(logging.WARNING, logger="acnet"):
        (result,), _ = collect([job], store, CountRule(threshold=0.5))
    assert result.count.count == sum(score >= 0.5 for score in scores)
    assert ("a.jpg may hold more lesions" in caplog.text) == is_told
