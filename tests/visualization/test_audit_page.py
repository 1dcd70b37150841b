"""The page of an audit: complete, without photos unless asked for, and without places."""

import pytest
from defusedxml import ElementTree

from acnet.data.audit.data_audit import audit_source
from acnet.visualization.audit_page import write_audit_page
from tests.data.audit.broken_set import write_broken_set
from tests.data.audit.fake_source import FakeSource


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return write_broken_set(tmp_path_factory.mktemp("broken") / "photos")


@pytest.fixture(scope="module")
def audit(broken):
    return audit_source(broken)


@pytest.fixture(scope="module")
def page(audit, tmp_path_factory):
    return write_audit_page(tmp_path_factory.mktemp("page"), audit).read_text()


def test_the_page_is_whole_and_its_links_lead_somewhere(audit, page, tmp_path):
    body = ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])
    ids = [element.get("id") for element in body.iter() if element.get("id")]
    links = {element.get("href", "") for element in body.iter()}
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert write_audit_page(tmp_path / "b", audit).read_text() == page  # the same bytes


def test_every_finding_is_on_it_and_no_place(audit, page, broken):
    for finding in audit.report.findings:
        assert f"<h2>{finding.kind}</h2>" in page
        assert finding.file_name in page
    assert str(broken.image_root.parent) not in page
    assert page.count('class="plot"') == 2


def test_photos_are_on_it_only_where_they_are_wanted(audit, page, broken, tmp_path):
    with_photos = write_audit_page(tmp_path, audit, broken.image_root).read_text()
    assert "data:image/jpeg" not in page
    assert "--with-photos" in page
    assert with_photos.count("data:image/jpeg;base64,") == page.count('<svg class="photo')
    assert "--with-photos" not in with_photos
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def page_of(folder, names) -> str:
    audit = audit_source(FakeSource(image_root=folder, annotations={}, splits={"train": names}))
    return write_audit_page(folder / "page", audit).read_text()


def test_long_lists_are_folded_and_very_long_ones_end(tmp_path):
    text = page_of(tmp_path, [f"{index:04d}.jpg" for index in range(300)])
    before, folded = text.split("<details>")
    assert "0007.jpg" in before
    assert "0008.jpg" not in before
    assert "0199.jpg" in folded
    assert "0200.jpg" not in folded
    assert '<data value="100">100</data> more' in folded


def test_hostile_names_and_an_empty_set_have_a_page_too(tmp_path):
    text = page_of(tmp_path / "hostile", ["<script>alert(1)</script>.jpg"])
    assert "&lt;script&gt;" in text  # text and not markup
    assert "<script" not in text
    empty = page_of(tmp_path / "empty", [])
    assert "0, 0 unusable" in empty
    assert "Nothing was found." in empty
