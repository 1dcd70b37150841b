"""The page: its numbers are the result's, it asks nobody, and it shows no more than it should."""

import dataclasses
import json
import re
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import cv2
import numpy as np
import pytest
from defusedxml import ElementTree
from example_report import made_up

from acnet.errors import UserError
from acnet.visualization.report import write_report
from tests.visualization.report.results import evaluated

SECTIONS = [
    *("headline", "evaluated", "detection", "scores", "counts"),
    *("grades", "sizes", "errors", "photos", "glossary"),
]


def body(page: str) -> Element:
    """Parse the body, which is well-formed XML but for the names of characters."""
    return ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])


def section(page: str, name: str) -> Element:
    return next(element for element in body(page).iter("section") if element.get("id") == name)


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def table_rows(element: Element) -> Iterator[tuple[str, list[float]]]:
    """Yield the key and the whole numbers of each row with a measure."""
    for row in element.iter("tr"):
        keys = [code.text for code in row.iter("code")]
        if keys:
            yield keys[0], [float(data.get("value")) for data in row.iter("data")]


def test_headline_table_shows_the_numbers_of_the_result(page, result):
    rows = dict(table_rows(section(page, "headline")))
    metrics = {metric.key: metric for metric in result.metrics}
    wanted = ["AP50@1000", "AP@1000", "AP50-VOC07", "sensitivity@1 (IoU 0.5)", "MAE", "accuracy"]
    assert set(wanted) <= set(rows)
    for key, numbers in rows.items():
        assert numbers == [metrics[key].value, metrics[key].low, metrics[key].high]
    shown = {float(data.get("value")) for data in body(page).iter("data")}
    for metric in metrics.values():
        assert {metric.value, metric.high} <= shown


def test_shown_digits_are_those_of_the_number(write, result):
    # 71.26 rounds to 71.3, -0.04 with two digits is a true minus, and 1234.5 gets a comma.
    shown = {
        ("AP50@1000", "%", 71.26): "71.3 %",
        ("AP@1000", "%", None): "n/a",
        ("bias", "lesions", -0.041): "\N{MINUS SIGN}0.04",
        ("MAE", "lesions", 1234.5): "1,234.50",
    }
    one = dataclasses.replace(result.metrics[0], low=None, high=None)
    metrics = tuple(
        dataclasses.replace(one, key=key, unit=unit, value=value) for key, unit, value in shown
    )
    text = words(section(write(dataclasses.replace(result, metrics=metrics)), "headline"))
    for (key, _, _), number in shown.items():
        assert f"{key} {number} none" in text


def test_confusion_table_and_figure_of_sizes_are_the_result_s(page, result):
    alt = next(section(page, "sizes").iter("img")).get("alt")
    recall, ap50 = (result.detection[f"{name}[16-32px]@1000"] for name in ("AR", "AP50"))
    assert f"16\N{EN DASH}32 px, recall {recall:.0f} %, AP50 {ap50:.0f} %" in alt
    table = next(t for t in section(page, "grades").iter("table") if t.get("class") == "confusion")
    cells = [int(data.get("value")) for data in table.iter("data")]
    assert cells == result.grading.confusion.ravel().tolist()
    assert [td.get("class") for td in table.iter("td")][1:7] == ["right", *[None] * 4, "right"]


def test_captions_of_photos_are_their_rows(page, result):
    rows = {row.file_name: row for row in result.photos}
    for figure in section(page, "photos").iter("figure"):
        caption = words(figure.find("figcaption"))
        row = rows[figure.find("figcaption/strong").text]
        assert f"{row.matched} found, {row.missed} missed, {row.false} false" in caption
        assert f"counted {row.counted} of {row.lesions}" in caption
        assert f"interval {row.counted_low} to {row.counted_high}" in caption


def test_sections_stand_in_order_and_all_links_lead_somewhere(page):
    sections = [element.get("id") for element in body(page).iter("section")]
    links = [link.get("href") for nav in body(page).iter("nav") for link in nav.iter("a")]
    assert sections == SECTIONS
    assert links == [f"#{name}" for name in SECTIONS]
    ids = [element.get("id") for element in body(page).iter() if element.get("id")]
    links = {element.get("href") for element in body(page).iter() if element.get("href")}
    assert len(ids) == len(set(ids))
    assert {link for link in links if not link.startswith(("#", "data:"))} == set()
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert "For research only. Not a medical device." in words(body(page).find("footer"))


def test_page_asks_nobody_and_runs_nothing(page):
    assert "://" not in page
    assert "<script" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")
    plots = unquote(" ".join(img.get("src") for img in body(page).iter("img")))
    assert "url(#" in plots  # what figures clip with is in the figures themselves
    assert re.findall(r"url\((?!#)", plots) == []


def test_figures_are_described_and_tables_reached_by_keyboard(page):
    regions = [e for e in body(page).iter("div") if e.get("class") == "scroll"]
    assert len(regions) == len(list(body(page).iter("table")))
    assert all(region.get("tabindex") == "0" and region.get("aria-label") for region in regions)
    plots = [img.get("alt") for img in body(page).iter("img")]
    photos = [svg.get("aria-label") for svg in body(page).iter("svg") if svg.get("role") == "img"]
    labels = plots + photos
    assert (len(plots), len(photos)) == (7, 9)
    assert all(len(label) > 20 for label in labels)
    assert all(words(figure.find("figcaption")) for figure in body(page).iter("figure"))


def test_same_result_gives_the_same_bytes_and_its_numbers_as_json(tmp_path, result):
    one, two = write_report(tmp_path / "a", result), write_report(tmp_path / "b", evaluated())
    assert one.read_bytes() == two.read_bytes()
    numbers, again = ((tmp_path / name / "results.json").read_bytes() for name in "ab")
    assert numbers == again
    assert json.loads(numbers) == json.loads(json.dumps(result.to_json()))


HOSTILE = (
    "<script>alert(1)</script>.jpg",
    '"><img src=x onerror=alert(1)>.jpg',
    "/home/anna/patients/1.jpg",
    r"C:\Users\anna\2.jpg",
    "half a character \ud800.jpg",
)


def test_names_can_neither_break_the_page_nor_tell_where_photos_are_kept(tmp_path):
    names = {"file_names": HOSTILE, "class_names": ("<b>acne</b> & co",)}
    hostile = evaluated(len(HOSTILE), count_model=False, **names)
    page = write_report(tmp_path, hostile).read_text(encoding="utf-8")
    assert "script" not in {element.tag for element in body(page).iter()}
    assert "<script" not in page
    assert all(img.get("src").startswith("data:image/svg") for img in body(page).iter("img"))
    assert "onerror" not in {name for element in body(page).iter() for name in element.attrib}
    assert "<b>acne" not in page
    assert "anna" not in page
    assert "anna" not in (tmp_path / "results.json").read_text(encoding="utf-8")
    shown = [words(strong) for strong in section(page, "photos").iter("strong")]
    assert {"1.jpg", "2.jpg", "script>.jpg", "half a character ?.jpg"} <= set(shown)


def test_photos_are_shown_when_asked_for_and_no_pixel_unasked(page, tmp_path, write):
    assert not re.search("image/jpeg|<image", page)
    assert "--with-photos" in page
    shown = evaluated(3, count_model=False)
    sizes = zip(shown.ground_truth.file_names, shown.ground_truth.image_hw, strict=True)
    for name, (height, width) in sizes:
        cv2.imwrite(str(tmp_path / name), np.zeros((height, width, 3), np.uint8))
    page = write(shown, photos_root=tmp_path)
    assert page.count("data:image/jpeg;base64,") == 3
    assert str(tmp_path) not in page
    assert "--with-photos" not in page


def test_no_half_report_is_left_and_no_other_file_is_replaced(tmp_path, result):
    with pytest.raises(UserError, match="give the folder"):
        write_report(tmp_path / "report", result, photos_root=tmp_path)
    assert not (tmp_path / "report").exists()
    (tmp_path / "report").write_text("mine")
    with pytest.raises(UserError, match=r"Received --report .*report is no folder"):
        write_report(tmp_path / "report", result)
    assert (tmp_path / "report").read_text() == "mine"


def test_without_a_count_model_two_sections_say_how_to_get_them(write):
    page = write(evaluated(count_model=False))
    for name in ("counts", "grades"):
        text = words(section(page, name))
        assert "Left out" in text
        assert "--count-model" in text
        assert list(section(page, name).iter("img")) == []
    assert "MAE" not in dict(table_rows(section(page, "headline")))


@pytest.mark.parametrize("lesions", [True, False])
def test_silent_model_gets_a_report(write, lesions):
    page = write(evaluated(5, count_model=False, silent=True, lesions=lesions))
    assert "there is no detection" in words(section(page, "scores"))
    if lesions:
        assert dict(table_rows(section(page, "headline")))["AP50@1000"][0] == 0
        assert len(list(section(page, "detection").iter("figure"))) == 2
    else:
        for name in ("detection", "scores", "sizes", "errors"):
            assert "Left out" in words(section(page, name))
        assert "F1 1.00: 0 found, 0 missed, 0 false" in words(section(page, "photos"))


@pytest.mark.parametrize("flags", ["crowd", "difficult", "crowd difficult", "first class"])
@pytest.mark.parametrize(("classes", "silent"), [(1, False), (2, False), (2, True)])
def test_lesions_that_are_all_crowds_or_difficult_get_a_report(write, classes, flags, silent):
    truth, _ = made_up(2, seed=0, classes=classes)
    chosen = truth.classes == 0 if flags == "first class" else np.ones(len(truth), dtype=bool)
    columns = {"crowd": chosen, "difficult": ~chosen}
    if flags != "first class":
        columns = dict.fromkeys(flags.split(), chosen)
    page = write(evaluated(2, classes=classes, silent=silent, **columns))
    all_crowds = columns.get("crowd", ~chosen).all()
    assert ("Left out" in words(section(page, "detection"))) == all_crowds


def test_one_photo_gets_a_report_and_several_classes_a_table(write):
    page = write(evaluated(1))
    assert len(list(section(page, "photos").iter("figure"))) == 1
    assert [h3.text for h3 in section(page, "photos").iter("h3")] == ["Lowest F1"]
    assert "they are too narrow" in words(section(page, "headline"))
    several = evaluated(classes=3, count_model=False)
    rows = [[words(cell) for cell in row] for row in section(write(several), "classes").iter("tr")]
    lesions = (several.ground_truth.classes == 1).sum()
    assert len(rows) == 1 + 3
    assert rows[2][:2] == ["kind 1", str(lesions)]
    assert rows[2][3] == f"{several.detection['AP50-kind 1@1000']:.1f}"
