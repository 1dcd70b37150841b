"""Pictures of pages: figures, boxes on photos, and photos of which nothing but pixels is kept."""

import base64
import io
import re
from urllib.parse import unquote

import numpy as np
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from acnet.errors import UserError
from acnet.templates import DARK, LIGHT
from acnet.visualization.svg import KINDS, box_path, photo_data_uri, photo_svg, svg_figure

SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def draw_line(figure, label):
    axes = figure.add_subplot(xlabel=label)
    axes.plot([0, 1], [0, 1], color=LIGHT["found"], marker="o")


def figure(name="one", label="recall, %"):
    return svg_figure(name, draw_line, label, alt='A "line"')


def svg(label="recall, %"):
    """Return the picture that the element holds."""
    source = ElementTree.fromstring(figure(label=label)).get("src")
    kind, text = source.split(",", 1)
    assert kind == "data:image/svg+xml"
    return unquote(text)


def test_figure_is_one_element_with_its_description():
    root = ElementTree.fromstring(figure())
    assert root.tag == "img"
    shown = {key: value for key, value in root.attrib.items() if key != "src"}
    assert shown == {"class": "plot", "width": "380", "height": "290", "alt": 'A "line"'}


def test_text_is_text_and_escaped():
    texts = [element.text for element in ElementTree.fromstring(svg(label="a < b")).iter(SVG_TEXT)]
    assert "a < b" in texts
    assert "0.2" in texts


def test_the_element_names_no_address_and_says_nothing_of_its_maker():
    assert not set("<>#\n") & set(ElementTree.fromstring(figure()).get("src"))
    assert "://" not in figure()
    assert "matplotlib.org" not in svg()


def test_colours_are_those_of_a_light_and_a_dark_page():
    text = svg()
    assert "stroke: var(--found)" in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert f"--found:{LIGHT['found']};" in style.partition("@media")[0]
    assert f"--found:{DARK['found']};" in style.partition("@media")[2]
    assert set(re.findall(r"#[0-9a-f]{6}\b(?!\))", text.replace(style, ""))) == set()


def test_same_values_give_the_same_text():
    assert figure() == figure()


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


NONE = np.zeros((0, 4))


def draw(picture=None, **boxes_xyxy):
    boxes = {kind: boxes_xyxy.get(kind, NONE) for kind in KINDS}
    return ElementTree.fromstring(photo_svg((300, 400), boxes, alt="Photo <1>", picture=picture))


def test_path_goes_around_each_box():
    boxes = np.array([[10, 20, 30, 60], [1.26, 2, 3, 4.04]])
    assert box_path(boxes) == "M10 20H30V60H10ZM1.3 2H3V4H1.3Z"


def test_units_are_pixels_of_the_photo():
    svg = draw(found=np.array([[10, 20, 30, 60]]))
    frame, path = svg
    assert svg.get("viewBox") == "0 0 400 300"  # width before height
    assert svg.get("aria-label") == "Photo <1>"
    assert (frame.get("width"), frame.get("height")) == ("400", "300")
    assert (path.get("class"), path.get("d")) == ("box found", "M10 20H30V60H10Z")


def test_missed_and_false_boxes_lie_on_top_of_what_was_found():
    one = np.array([[0, 0, 9, 9]])
    svg = draw(missed=one, truth=one, false=one, found=one)
    assert [path.get("class").split()[1] for path in svg.iter("path")] == list(KINDS)
    assert KINDS.index("truth") < KINDS.index("found") < KINDS.index("missed")


def test_photo_without_boxes_is_its_outline():
    assert [element.tag for element in draw()] == ["rect"]


def test_picture_lies_below_rims_and_lines():
    one = np.array([[0, 0, 9, 9]])
    svg = draw(picture="data:image/jpeg;base64,AAAA", found=one, missed=one)
    classes = [element.get("class") for element in svg]
    assert svg[0].tag == "image"
    assert classes[1:] == ["rim", "rim", "box found", "box missed"]


@given(st.lists(st.tuples(*[st.floats(-50, 5000)] * 4), min_size=1, max_size=5))
def test_path_reads_back_as_the_boxes(boxes):
    numbers = re.findall(r"M(\S+) (\S+?)H(\S+?)V(\S+?)H(\S+?)Z", box_path(np.array(boxes)))
    read = np.array(numbers, dtype=float)
    assert read[:, :4] == pytest.approx(np.array(boxes), abs=0.051)
    assert (read[:, 4] == read[:, 0]).all()


def save(path, image_hw, **options):
    pixels = np.zeros((*image_hw, 3), np.uint8)
    pixels[: image_hw[0] // 2] = 255  # white above, black below
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def decode(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_large_photo_is_scaled_to_1000_px(tmp_path):
    save(tmp_path / "a.png", (1500, 2000))
    image = decode(photo_data_uri(tmp_path, "a.png", (1500, 2000)))
    assert image.size == (1000, 750)
    assert image.getpixel((500, 100)) == (255, 255, 255)
    assert image.getpixel((500, 700)) == (0, 0, 0)


def test_small_photo_keeps_its_size(tmp_path):
    save(tmp_path / "folder/a.png", (30, 40))
    assert decode(photo_data_uri(tmp_path, "folder/a.png", (30, 40))).size == (40, 30)


def test_only_pixels_are_kept_and_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    exif[270] = "patient 12"
    save(tmp_path / "a.jpg", (30, 40), exif=exif)
    uri = photo_data_uri(tmp_path, "a.jpg", (40, 30))
    assert dict(decode(uri).getexif()) == {}
    assert b"patient" not in base64.b64decode(uri.partition(",")[2])
    assert decode(uri).size == (30, 40)


def test_photo_of_another_size_is_refused(tmp_path):
    save(tmp_path / "a.png", (30, 40))
    with pytest.raises(UserError, match=r"a\.png of 40 x 30 px; give the folder"):
        photo_data_uri(tmp_path, "a.png", (40, 30))


def test_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    save(tmp_path / "secret.png", (30, 40))
    (tmp_path / "photos").mkdir()
    for name in ("../secret.png", str(tmp_path / "secret.png")):
        with pytest.raises(UserError, match="not below"):
            photo_data_uri(tmp_path / "photos", name, (30, 40))


def test_missing_photo_names_the_remedy(tmp_path):
    with pytest.raises(UserError, match=r"'b\.png', which is not there; give the folder"):
        photo_data_uri(tmp_path, "b.png", (30, 40))
