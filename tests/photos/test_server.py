"""The served page over a real HTTP client, a stranger's attempts at it, and a browser."""

import http.client
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from acnet.cli.main import main
from acnet.photos import server as server_module
from acnet.photos.results import arrays_of
from acnet.photos.server import Session
from tests.photos.bright_square import SQUARE_XYXY, BrightSquare, photo
from tests.photos.served import OWN, ask, serving


@pytest.fixture
def served():
    server = serving(Session(BrightSquare()))
    yield server
    server.shutdown()
    server.server_close()


def jpeg(size_wh=(48, 32)):
    content = io.BytesIO()
    photo(size_wh=size_wh).save(content, "JPEG", quality=95)
    return content.getvalue()


def drop(server, content=None, name="a.jpg", **headers):
    content = jpeg() if content is None else content
    return ask(server, "POST", "/photos", content, X_ACNet="1", X_Name=name, **headers)


def test_a_dropped_photo_is_shown_counted_and_forgotten(served):
    assert drop(served, name="Anna%20%3Cb%3E.jpg")[0] == 200
    status, headers, page = ask(served)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert "Anna &lt;b&gt;.jpg" in page.decode()
    assert b"<rect" in page
    for name in ("photos/1.jpg", "thumbnails/1.jpg"):
        assert name in page.decode()
        assert ask(served, path=f"/{name}")[2].startswith(b"\xff\xd8")
    rows = json.loads(ask(served, path="/predictions.json")[2])
    boxes, scores, _ = arrays_of(rows)
    np.testing.assert_allclose(boxes, [SQUARE_XYXY])
    assert scores.tolist() == [0.75]
    status, headers, counts = ask(served, path="/counts.csv")
    assert b"\nAnna <b>.jpg,1," in counts
    assert headers["Content-Disposition"] == "attachment"
    assert json.loads(ask(served, path="/images.json")[2])["images"][0]["id"] == 1
    assert ask(served, "POST", "/forget", b"", **OWN)[0] == 200
    assert b"Anna" not in ask(served)[2]
    assert ask(served, path="/photos/1.jpg")[0] == 404


def test_what_is_no_photo_is_told_on_the_page(served):
    status, _, content = drop(served, b"no photo", name="b.jpg")
    assert status == 422
    assert "must decode whole" in json.loads(content)["error"]
    assert b"BytesIO" not in content
    assert b"Left out" in ask(served)[2]
    assert drop(served)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1:1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://localhost:{port}"},  # of another name of this machine
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    ],
    ids=str,
)
def test_a_strangers_page_gets_nothing(served, headers):
    drop(served)
    headers = {n: value.format(port=served.server_port) for n, value in headers.items()}
    for method, path in [("GET", "/"), ("GET", "/photos/1.jpg"), ("POST", "/forget")]:
        status, answered, content = ask(served, method, path, b"", **OWN, **headers)
        assert status == 403
        assert b"for this machine alone" in content
        assert "Access-Control-Allow-Origin" not in answered
    assert ask(served, path="/photos/1.jpg")[0] == 200  # nothing was forgotten


def test_the_pages_own_requests_are_taken_and_a_form_of_another_site_sends_nothing(served):
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{served.server_port}"
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert ask(served, **own)[0] == 200
        assert ask(served, "POST", "/forget", b"", **OWN, **own)[0] == 200
    assert ask(served, "POST", "/photos", jpeg())[0] == 403  # without the header of the page
    assert ask(served, "OPTIONS", "/photos")[0] == 501  # what would let others send it
    assert b"a.jpg" not in ask(served)[2]


@pytest.mark.parametrize(
    "path",
    [
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/%00"),
        *(
            "/photos/../photos/1.jpg",
            "/photos/2.jpg",
            "/acnet/photos/server.py",
            "/" + "a" * 20_000,
        ),
    ],
    ids=lambda path: path[:30],
)
def test_no_path_leads_to_a_file(served, path):
    drop(served)
    assert ask(served, path=path)[0] == 404


@pytest.mark.parametrize(
    ("length", "status"),
    [("200000000", 413), ("9" * 30, 413), ("-1", 411), ("1e3", 411), ("", 411), ("²", 411)],
)
def test_bodies_that_are_too_long_or_of_no_length_are_not_read(served, length, status):
    length = length.encode()  # http.client takes no other letters
    headers = {**OWN, "Content-Length": length}
    assert ask(served, "POST", "/photos", b"", **headers)[0] == status


def test_a_photo_that_does_not_arrive_whole_is_refused(served, monkeypatch):
    monkeypatch.setattr(server_module._Handler, "timeout", 0.3)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        drop(served, b"\xff\xd8", Content_Length="1000")
    assert drop(served)[0] == 200


def test_a_thousand_requests_are_answered(served):
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: ask(served, path="/counts.csv")[0], range(1000)))
    assert statuses == [200] * 1000


def test_one_photo_at_a_time_is_in_the_engine():
    busy, most = [], []

    def before(_):
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.02)
        busy.pop()

    server = serving(Session(BrightSquare(before)))
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: drop(server, name=f"{number}")[0], range(16)))
    assert (statuses, max(most)) == ([200] * 16, 1)
    rows = json.loads(ask(server, path="/predictions.json")[2])
    assert [row["image_id"] for row in rows] == list(range(1, 17))
    server.shutdown()
    server.server_close()


def test_a_session_refuses_what_is_large_or_too_much_and_forgets_what_is_under_way(monkeypatch):
    session = Session(BrightSquare(lambda _: session.forget()))
    assert session.add("a.jpg", jpeg()) is None
    assert b"a.jpg" not in session.page().encode()
    session = Session(BrightSquare(lambda _: session.forget() or 1 / 0))
    assert "division by zero" in session.add("a.jpg", jpeg())
    assert "a.jpg" not in session.page()
    session = Session(BrightSquare(), max_megapixels=0.001)
    assert "above the limit" in session.add("a.jpg", jpeg())
    monkeypatch.setattr(server_module, "MOST_PHOTOS", 1)
    session = Session(BrightSquare())
    assert session.add("a.jpg", jpeg()) is None
    assert "this one is full" in session.add("b.jpg", jpeg())


def test_a_port_that_is_taken_is_one_clear_sentence(served, monkeypatch, capsys):
    monkeypatch.setattr("acnet.inference.predictor.load", lambda *_, **__: BrightSquare())
    assert main(["serve", "--port", f"{served.server_port}"]) == 2
    assert "choose another, or 0 for any free one" in capsys.readouterr().err


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(browser, served, tmp_path, width):
    (tmp_path / "lesion.jpg").write_bytes(jpeg(size_wh=(480, 320)))
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    page = browser.new_page(viewport={"width": width, "height": 800})
    messages, hosts = [], set()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(served.url)
    page.set_input_files("#choose", tmp_path / "lesion.jpg")
    page.wait_for_selector(".card rect")
    # One photo is dropped while another is under way.
    page.evaluate("""async () => {
        const photo = await (await fetch("photos/1.jpg")).blob();
        for (const name of ["two.jpg", "three.jpg"]) {
            const drop = new DragEvent("drop", { dataTransfer: new DataTransfer() });
            drop.dataTransfer.items.add(new File([photo], name));
            document.dispatchEvent(drop);
        }
    }""")
    page.wait_for_selector(".card:nth-of-type(3)")
    page.click(".frame")
    page.keyboard.press("ArrowRight")  # the next photo, not another threshold
    assert page.inner_text("#caption").startswith("two.jpg: 1")
    page.click("#close")
    page.click("#forget")
    page.wait_for_selector(".card", state="detached")
    page.set_input_files("#choose", tmp_path / "lesion.jpg")
    page.wait_for_selector(".card rect")
    assert page.inner_text(".counted") == "1"
    page.locator(".tools input[type=range]").fill("0.8")
    page.wait_for_selector(".counted:text-is('0')")
    assert page.get_attribute(".card img", "alt") == "lesion.jpg: 0 lesions"
    page.click(".frame")
    page.click("#larger")
    assert page.evaluate("document.getElementById('sheet').style.width") == "150%"
    page.click("#close")
    with page.expect_download() as download:
        page.click("footer a[href='predictions.json']")
    assert len(json.loads(download.value.path().read_text())) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"{width}.png")
    assert messages == []
    page.set_input_files("#choose", tmp_path / "broken.jpg")
    page.wait_for_selector("#problem:not([hidden])")
    assert "must decode whole" in page.inner_text("#problem")
    page.reload()
    page.click("#forget")
    page.wait_for_selector(".card", state="detached")
    assert hosts == {f"127.0.0.1:{served.server_port}"}
