"""Hayashi's limits."""

import pytest

from acnet.evaluation.counting import hayashi_grade


@pytest.mark.parametrize(
    ("count", "grade"),
    [(0, 0), (5, 0), (6, 1), (20, 1), (21, 2), (50, 2), (51, 3), (1000, 3)],
)
def test_limits(count, grade):
    assert hayashi_grade(count) == grade
