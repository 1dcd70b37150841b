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
from acnet.photos.draw import box_path
from acnet.templates import DARK, LIGHT
from acnet.visualization.svg import KINDS, photo_data_uri, photo_svg, svg_figure

SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def draw_line(figure, label):
    axes = figure.add_subplot(xlabel=label)
    axes.plot([0, 1], [0, 1], color=LIGHT["found"], marker="o")


def figure(label="recall, %"):
    return svg_figure("one", draw_line, label, alt='A "line"')


def svg(label="recall, %"):
    """Return the picture that the element holds."""
    source = ElementTree.fromstring(figure(label)).get("src")
    kind, text = source.split(",", 1)
    assert kind == "data:image/svg+xml"
    return unquote(text)


def test_figure_is_one_element_with_its_description():
    assert figure() == figure()
    root = ElementTree.fromstring(figure())
    assert root.tag == "img"
    shown = {"class": "plot", "width": "380", "height": "290", "alt": 'A "line"'}
    assert root.attrib == shown | {"src": root.get("src")}
    texts = [element.text for element in ElementTree.fromstring(svg("a < b")).iter(SVG_TEXT)]
    assert {"a < b", "0.2"} <= set(texts)
    # It names no address and says nothing of its maker.
    assert not set("<>#\n") & set(root.get("src"))
    assert "://" not in figure()
    assert "matplotlib.org" not in svg()


def test_colours_are_those_of_a_light_and_a_dark_page():
    text = svg()
    assert "stroke: var(--found)" in text
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)  # or a figure's colours could not be told apart
    style = text[text.index("<style>") : text.index("</style>")]
    assert f"--found:{LIGHT['found']};" in style.partition("@media")[0]
    assert f"--found:{DARK['found']};" in style.partition("@media")[2]
    assert set(re.findall(r"#[0-9a-f]{6}\b(?!\))", text.replace(style, ""))) == set()


def draw(picture=None, **boxes_xyxy):
    markup = photo_svg((300, 400), boxes_xyxy, alt="Photo <1>", picture=picture)
    return ElementTree.fromstring(markup)


def test_units_are_pixels_of_the_photo():
    svg = draw(found=np.array([[10, 20, 30, 60]]))
    frame, path = svg
    assert svg.get("viewBox") == "0 0 400 300"  # width before height
    assert svg.get("aria-label") == "Photo <1>"
    assert (frame.get("width"), frame.get("height")) == ("400", "300")
    assert (path.get("class"), path.get("d")) == ("box found", "M10 20H30V60H10Z")
    nothing = draw(found=np.zeros((0, 4)))
    assert [element.tag for element in nothing] == ["rect"]  # without boxes its outline


def test_picture_lies_below_rims_and_these_below_lines_of_which_errors_are_on_top():
    one = np.array([[0, 0, 9, 9]])
    svg = draw("data:image/jpeg;base64,AAAA", missed=one, truth=one, false=one, found=one)
    classes = [element.get("class") for element in svg]
    assert svg[0].tag == "image"
    assert classes[1:] == ["rim"] * 4 + [f"box {kind}" for kind in KINDS]
    assert KINDS.index("truth") < KINDS.index("found") < KINDS.index("missed")


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


@pytest.mark.parametrize(("image_hw", "size"), [((1500, 2000), (1000, 750)), ((30, 40), (40, 30))])
def test_large_photo_is_scaled_to_1000_px(tmp_path, image_hw, size):
    save(tmp_path / "folder/a.png", image_hw)
    image = decode(photo_data_uri(tmp_path, "folder/a.png", image_hw))
    assert image.size == size
    assert image.getpixel((size[0] // 2, 3)) == (255, 255, 255)
    assert image.getpixel((size[0] // 2, size[1] - 3)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("a.png", r"a\.png of 40 x 30 px; give the folder"),  # of another size
        ("b.png", r"'b\.png', which is not there; give the folder"),
        ("../secret.png", "lies in it"),
        ("{folder}/secret.png", "lies in it"),
    ],
)
def test_photos_that_are_not_those_of_the_set_are_refused(tmp_path, name, fault):
    save(tmp_path / "photos/a.png", (30, 40))
    save(tmp_path / "secret.png", (40, 30))
    with pytest.raises(UserError, match=fault):
        photo_data_uri(tmp_path / "photos", name.format(folder=tmp_path), (40, 30))


def test_only_pixels_are_kept_and_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    exif[270] = "patient 12"
    save(tmp_path / "a.jpg", (30, 40), exif=exif)
    uri = photo_data_uri(tmp_path, "a.jpg", (40, 30))
    assert dict(decode(uri).getexif()) == {}
    assert b"patient" not in base64.b64decode(uri.partition(",")[2])
    assert decode(uri).size == (30, 40)
