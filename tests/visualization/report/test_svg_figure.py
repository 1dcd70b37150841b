"""Figures as parts of a page: their text, colours and names, and nothing of a document."""

import re

import pytest
from defusedxml import ElementTree

from acnet.visualization.palette import DARK, LIGHT
from acnet.visualization.svg import svg_figure


def draw_line(figure, label):
    axes = figure.add_subplot(xlabel=label)
    axes.plot([0, 1], [0, 1], color=LIGHT["found"], marker="o")


def svg(name="one", label="recall, %"):
    return svg_figure(name, draw_line, label, alt='A "line"')


def test_figure_is_one_element_with_its_description():
    root = ElementTree.fromstring(svg())
    assert root.tag == "svg"
    assert root.attrib == {
        "class": "plot",
        "viewBox": "0 0 380 290",
        "role": "img",
        "aria-label": 'A "line"',
    }


def test_text_is_text_and_escaped():
    texts = [element.text for element in ElementTree.fromstring(svg(label="a < b")).iter("text")]
    assert "a < b" in texts
    assert "0.2" in texts


def test_nothing_of_a_document_or_of_the_network_is_left():
    text = svg()
    for word in ("<?xml", "<!DOCTYPE", "xmlns", "<metadata", "<style", "://", "font-family"):
        assert word not in text


def test_colours_are_the_page_s():
    text = svg()
    assert "stroke: var(--found)" in text
    assert set(re.findall(r"#[0-9a-f]{6}\b(?!\))", text)) == set()


def test_names_differ_between_figures_and_lead_somewhere():
    one, two = svg("one"), svg("two")
    names = [set(re.findall(r' id="([^"]+)"', text)) for text in (one, two)]
    used = [set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text)) for text in (one, two)]
    assert names[0]
    assert names[0].isdisjoint(names[1])
    assert names == used


def test_same_values_give_the_same_text():
    assert svg() == svg()


def luminance(color: str) -> float:
    """WCAG's relative luminance."""
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("name", "least"),
    [("ink", 7), ("muted", 4.5), ("found", 4.5), ("false", 3), ("missed", 4.5)],
)
def test_colours_stand_out_from_the_page(colors, name, least):
    # WCAG 2.1: 4.5 for text, 3 for what is drawn.
    pair = sorted(luminance(colors[key]) for key in (name, "page"))
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least


def test_light_and_dark_have_the_same_colours():
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)  # or a figure's colours could not be told apart
