"""The page of an audit: complete, without photos unless asked for, and without places."""

import re
from html.parser import HTMLParser

import pytest

from acnet.data.audit.data_audit import AuditOptions, audit_source
from acnet.visualization.audit_page import write_audit_page
from tests.data.audit.broken_set import write_broken_set
from tests.data.audit.fake_source import FakeSource

VOID = {"meta", "br", "img", "link", "path", "rect", "image", "use", "hr"}


class Checker(HTMLParser):
    """Fails where an element is closed that is not open."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"][1:]] if values.get("href", "").startswith("#") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return write_broken_set(tmp_path_factory.mktemp("broken") / "photos")


@pytest.fixture(scope="module")
def audit(broken):
    return audit_source(broken, AuditOptions())


def test_the_page_is_whole_and_its_links_lead_somewhere(audit, tmp_path):
    path = write_audit_page(tmp_path / "page", audit)
    checker = Checker()
    checker.feed(path.read_text())
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert set(checker.links) <= set(checker.ids)


def test_every_finding_is_on_it_and_no_place(audit, broken, tmp_path):
    text = write_audit_page(tmp_path / "page", audit).read_text()
    for finding in audit.report.findings:
        assert f"<h2>{finding.kind}</h2>" in text
        assert finding.file_name in text
    assert str(broken.image_root) not in text
    assert str(broken.image_root.parent) not in text
    assert text.count('class="plot"') == 2


def test_photos_are_on_it_only_where_they_are_wanted(audit, broken, tmp_path):
    without = write_audit_page(tmp_path / "a", audit).read_text()
    with_photos = write_audit_page(tmp_path / "b", audit, broken.image_root).read_text()
    assert "data:image/jpeg" not in without
    assert "--with-photos" in without
    assert with_photos.count("data:image/jpeg;base64,") == without.count('<svg class="photo')
    assert "--with-photos" not in with_photos
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["index.html"]


def test_the_same_audit_gives_the_same_bytes(audit, tmp_path):
    first = write_audit_page(tmp_path / "a", audit).read_bytes()
    assert write_audit_page(tmp_path / "b", audit).read_bytes() == first


def test_names_of_files_are_text_and_not_markup(tmp_path):
    name = "<script>alert(1)</script>.jpg"
    source = FakeSource(tmp_path, {}, {"train": [name]})
    text = write_audit_page(tmp_path / "page", audit_source(source, AuditOptions())).read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_long_lists_are_folded_and_very_long_ones_end(tmp_path):
    names = [f"{index:04d}.jpg" for index in range(300)]
    source = FakeSource(tmp_path, {}, {"train": names})
    text = write_audit_page(tmp_path / "page", audit_source(source, AuditOptions())).read_text()
    before, folded = text.split("<details>")
    assert "0007.jpg" in before
    assert "0008.jpg" not in before
    assert "0199.jpg" in folded
    assert "0200.jpg" not in folded
    assert '<data value="100">100</data> more' in folded


def test_an_empty_set_has_a_page_too(tmp_path):
    audit = audit_source(FakeSource(tmp_path, {}, {"train": []}), AuditOptions())
    text = write_audit_page(tmp_path / "page", audit).read_text()
    assert "Nothing was found." in text
    assert re.search(r"0, 0 unusable", text)
