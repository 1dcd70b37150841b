"""The page: what stands in it, links that work from the disk, nothing from the network."""

from pathlib import Path

from defusedxml import ElementTree

from acnet.visualization.page import Picture, Section, write_page


def page(tmp_path: Path, *sections: Section) -> str:
    write_page(tmp_path / "index.html", "A <title>", sections)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def test_sections_stand_in_order_with_their_parts(tmp_path):
    text = page(
        tmp_path,
        Section(title="Numbers", text="All of them.", rows=[("AP50", "85.0"), ("AP", "50.0")]),
        Section(title="Pictures", pictures=[Picture("pictures/a.png", "Photo a")]),
    )
    wanted = ["Numbers", "All of them.", "AP50", "85.0", "AP", "50.0", "Pictures", "pictures/a.png"]
    places = [text.index(f">{word}<" if "/" not in word else word) for word in wanted]
    assert places == sorted(places)


def test_names_cannot_break_the_page(tmp_path):
    nasty = "<script>\"&'"
    text = page(
        tmp_path, Section(title=nasty, rows=[(nasty, nasty)], pictures=[Picture(nasty, nasty)])
    )
    assert "<script>" not in text
    assert 'src="%3Cscript%3E%22%26%27"' in text


def test_page_is_well_formed_and_asks_nobody(tmp_path):
    text = page(tmp_path, Section(title="Empty"))
    body = text[text.index("<body>") : text.index("</html>")]
    assert [element.tag for element in ElementTree.fromstring(body)] == ["h1", "section"]
    assert "://" not in text
    assert "<table>" not in text
