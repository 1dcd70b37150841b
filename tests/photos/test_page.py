"""The page: complete, in order, alone, and safe from what photos are called."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from acnet.photos.page import MOST_BELOW, write_gallery
from acnet.photos.results import CountRule, FailedPhoto, PhotoCount, PhotoResult
from tests.evaluation.count_models import count_model

PLAIN = CountRule(threshold=0.5)
FITTED = CountRule(threshold=0.4, model=count_model(threshold=0.4))

ROW = {"category_id": 1, "bbox": [1.0, 2.04, 3.0, 4.0], "score": 0.9, "probability": 0.5}


class Page(HTMLParser):
    """Collects the tags of a page."""

    VOID = ("meta", "img", "input", "link", "br")

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attrs[name] for found, attrs in self.tags if found == tag and name in attrs]


def result(name: str, count: PhotoCount, **files: str) -> PhotoResult:
    stem = name.rsplit(".", 1)[0]
    kinds = ("picture", "photo", "thumbnail")
    return PhotoResult(
        image_id=1,
        name=name,
        image_hw=(30, 40),
        rows=[ROW] * (count.count or 0),
        below=[{**ROW, "score": 0.2, "probability": 0.125}],
        count=count,
        seconds=1.25,
        photo_size_px=40,
        files=files or {kind: f"{kind}s/{stem}.jpg" for kind in kinds},
    )


def page(tmp_path, results, failed=(), rule=PLAIN, **options) -> str:
    options = {"rule": rule, "files": ["counts.csv"], **options}
    write_gallery(tmp_path / "index.html", results, failed, **options)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert Page(text).open == []  # every tag is closed, in order
    return text


def test_each_photo_has_a_card_with_links_to_its_pictures(tmp_path):
    photos = [result("a.png", PhotoCount(count=3)), result("b.png", PhotoCount(count=1))]
    parsed = Page(page(tmp_path, photos))
    assert parsed.attributes("li", "data-name") == ["a.png", "b.png"]
    assert parsed.attributes("li", "data-count") == ["3", "1"]
    assert parsed.attributes("img", "src") == ["thumbnails/a.jpg", "thumbnails/b.jpg"]
    for kind in ("pictures", "photos"):
        links = [link for link in parsed.attributes("a", "href") if kind in link]
        assert links == [f"{kind}/a.jpg", f"{kind}/b.jpg"]
    assert "a.png: 3 lesions" in parsed.attributes("img", "alt")
    assert "b.png: 1 lesion" in parsed.attributes("img", "alt")


def test_a_photo_that_was_seen_at_another_size_than_those_of_the_training_says_so(tmp_path):
    photos = [result("a.png", PhotoCount(count=3))]
    assert "seen at 40 px, trained at 640 px" in page(tmp_path, photos, trained_px=640)
    assert "trained at" not in page(tmp_path, photos, trained_px=40)
    assert "trained at" not in page(tmp_path, photos)


def test_with_a_count_model_there_are_intervals_and_grades_to_sort_by(tmp_path):
    counted = "inflammatory lesions, half face"
    count = PhotoCount(count=23, low=18, high=28, grade=2, counted=counted)
    text = page(tmp_path, [result("a.png", count)], rule=FITTED)
    assert "18\N{EN DASH}28" in text
    assert f'severe <span class="quiet small">({counted})' in text
    assert Page(text).attributes("button", "data-sort") == ["name", "count", "grade"]
    # Without one there are none, and the page says why.
    text = page(tmp_path, [result("a.png", PhotoCount(count=23))])
    assert "acnet calibrate" in text
    assert Page(text).attributes("button", "data-sort") == ["name", "count"]


def test_counts_of_other_photos_have_no_grade_and_the_page_says_why(tmp_path):
    rule = CountRule(model=count_model(view="whole face"))
    count = PhotoCount(count=23, low=18, high=28, counted=rule.model.counted)
    text = page(tmp_path, [result("a.png", count)], rule=rule)
    assert "Counted are inflammatory lesions, whole face. There is no grade" in text
    assert "severe" not in text


def test_a_photo_that_is_not_counted_says_why(tmp_path):
    unlike = PhotoCount(count=None, note="unlike these: no count")
    text = page(tmp_path, [result("a.png", unlike), result("b.png", PhotoCount(count=2))])
    assert '<p class="note">Unlike these: no count.</p>' in text
    assert '<strong id="total"><data value="2">2</data></strong> lesions in' in text
    assert text.count("<rect") == 3  # two that count and one below, of the other photo
    assert Page(text).attributes("li", "data-count") == ["-1", "2"]


def test_the_page_draws_boxes_from_data_that_the_threshold_can_hide(tmp_path):
    parsed = Page(page(tmp_path, [result("a.png", PhotoCount(count=2))], rule=FITTED))
    boxes = [attrs for tag, attrs in parsed.tags if tag == "rect"]
    assert [box["data-text"] for box in boxes] == ["50%", "50%", "12%"]
    assert [box["data-score"] for box in boxes] == ["0.9", "0.9", "0.2"]
    assert [("hidden" in box) for box in boxes] == [False, False, True]
    sides = [boxes[0][name] for name in ("x", "y", "width", "height")]
    assert sides == ["1.0", "2.0", "3.0", "4.0"]
    assert parsed.attributes("svg", "viewbox") == ["0 0 40 30"]
    (slider, _) = (attrs for _, attrs in parsed.tags if attrs.get("type") == "range")
    assert (slider["min"], slider["value"]) == ("0.05", "0.4")

    many = [{**ROW, "score": 0.3}] * MOST_BELOW
    shown = dataclasses.replace(result("a.png", PhotoCount(count=0)), below=many)
    parsed = Page(page(tmp_path, [shown], rule=FITTED))
    sliders = [attrs for _, attrs in parsed.tags if attrs.get("type") == "range"]
    assert [slider["min"] for slider in sliders] == ["0.3", "0.3"]


def test_photos_that_are_left_out_are_listed_with_their_reason(tmp_path):
    text = page(tmp_path, [], [FailedPhoto(name="bad.jpg", reason="cut short")])
    assert re.search(r"bad\.jpg</th><td>cut short</td>", text)
    assert ">1</data> left out" in text
    assert "No photo could be read." in text


def test_shared_results_link_schematics_and_crops(tmp_path):
    files = {"schematic": "schematics/p.svg", "crops": "crops/p.jpg"}
    text = page(tmp_path, [result("photo 0001", PhotoCount(count=1), **files)])
    assert Page(text).attributes("img", "src") == ["schematics/p.svg"]
    assert "crops/p.jpg" in Page(text).attributes("a", "href")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>.jpg", '" onload="x.jpg', "a#b ?%.jpg"])
def test_names_cannot_become_code_or_break_links(tmp_path, name):
    parsed = Page(page(tmp_path, [result(name, PhotoCount(count=0))]))
    assert parsed.attributes("li", "data-name") == [name]
    assert sum(tag == "script" for tag, _ in parsed.tags) == 1
    assert not parsed.attributes("img", "onload")
    (source,) = parsed.attributes("img", "src")
    assert not set('#? "<') & set(source)


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded(tmp_path):
    text = page(tmp_path, [result("a.png", PhotoCount(count=0))])
    (policy,) = (attrs["content"] for tag, attrs in Page(text).tags if "http-equiv" in attrs)
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", policy)
    assert "http:" not in text
    assert "https:" not in text
