"""The first table: which measures, in which order, under which names."""

import pytest

from acnet.evaluation.result import Metric
from acnet.visualization.report.sections import describe, headline_groups, metric_row


def metric(key: str, value: float | None = 50.0, **changes: object) -> Metric:
    values = {"group": "detection", "low": 40.0, "high": 61.0, "unit": "%", "better": "higher"}
    return Metric(key=key, value=value, **{**values, **changes})


def test_order_is_the_table_s_not_the_evaluation_s():
    metrics = [metric("MAE"), metric("AP@1000"), metric("AP@100"), metric("AP50@1000")]
    groups = {
        group["title"]: [row["key"] for row in group["rows"]] for group in headline_groups(metrics)
    }
    finding = ["AP50@1000", "AP@1000", "AP@100"]
    assert list(groups.items()) == [("Finding lesions", finding), ("Counting lesions", ["MAE"])]
    # What the sections show is not in the first table.
    assert headline_groups([metric("AP75@1000"), metric("sensitivity"), metric("RMSE")]) == []


@pytest.mark.parametrize(
    ("key", "term"),
    [("AP50@300", "ap"), ("AP50-VOC07", "voc"), ("sensitivity@1/8 (centre)", "froc")],
)
def test_words_and_their_explanation(key, term):
    words, found = describe(key)
    assert found == term
    assert words != key
    assert describe("new@7") == ("new@7", None)  # an unknown key stands for itself


def test_every_measure_of_an_evaluation_has_words_and_a_term(result, page):
    for number in result.metrics:
        words, term = describe(number.key)
        assert words != number.key
        assert f'id="term-{term}"' in page


def test_interval_is_placed_on_the_line():
    # 40 to 61 with 50 inside: it starts at 40 % of the line and is 21 % long.
    assert metric_row(metric("AP@1000"))["bar"] == {"left": 40.0, "width": 21.0, "place": 50.0}
    for none in (metric("MAE", unit="lesions"), metric("AP@1000", None), metric("Youden", -5.0)):
        assert metric_row(none)["bar"] is None  # no share, or undefined
