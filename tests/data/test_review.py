"""The page that corrects boxes, over a real HTTP client and in a browser, and the set it writes."""

import functools
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from acnet.cli.main import main
from acnet.data import review as review_module
from acnet.data.import_set import ImportOptions
from acnet.data.readers.coco_set import open_results
from acnet.data.readers.formats import open_source
from acnet.data.register import register_paths
from acnet.data.review import Review
from acnet.errors import UserError
from tests.data.samples import contents, write_results
from tests.data.small_sets import coco, write
from tests.photos.served import OWN, ask, serving

SIZE_WH = (640, 480)
SCORES = {"sure.jpg": (0.99, 0.98), "unsure.jpg": (0.9, 0.6, 0.3), "empty.jpg": ()}
OPTIONS = ImportOptions(command="acnet review")


@pytest.fixture
def results(tmp_path):
    """Return a folder as `acnet predict` leaves it; 0.6 counts, and a row of 0.01 is no news."""
    folder, found = tmp_path / "results", {}
    (folder / "photos").mkdir(parents=True)
    for number, (name, scores) in enumerate(SCORES.items()):
        noise = np.random.default_rng(number).integers(60, 200, (12, 16, 3), np.uint8)
        Image.fromarray(noise).resize(SIZE_WH).save(folder / "photos" / name)
        places = enumerate((*scores, 0.01))
        found[name] = [([40 + 150 * place, 100, 80, 60.5], score) for place, score in places]
    write_results(folder, dict.fromkeys(SCORES, SIZE_WH), found)
    return folder


def review_of(results, output):
    return Review(open_results(results, score_threshold=0.2), output, OPTIONS)


@pytest.fixture
def served(results, tmp_path):
    server = serving(review_of(results, tmp_path / "corrected"))
    yield server
    server.shutdown()
    server.server_close()


def boxes_of(server, number=0):
    return json.loads(ask(server, path=f"/boxes/{number}.json")[2])


def keep(server, content, number=0, **headers):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ask(server, "POST", f"/boxes/{number}", content, **{**OWN, **headers})


def box(*xyxy, **fields):
    return {"xyxy": list(xyxy), "name": "acne", "score": None, "taken": True, **fields}


def test_photos_come_by_how_uncertain_their_number_of_lesions_is(served):
    status, headers, content = ask(served, path="/photos.json")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    rows = json.loads(content)["photos"]
    # 0.9 * 0.1 + 0.6 * 0.4 + 0.3 * 0.7 = 0.54; 0.99 * 0.01 + 0.98 * 0.02 = 0.03; 0
    assert [row["name"] for row in rows] == ["unsure.jpg", "sure.jpg", "empty.jpg"]
    assert [row["boxes"] for row in rows] == [2, 2, 0]  # those that count
    photo = boxes_of(served)
    assert photo["uncertain"] == pytest.approx(0.54)
    assert [one["taken"] for one in photo["boxes"]] == [True, True, False]
    assert ask(served, path="/pictures/0.jpg")[2].startswith(b"\xff\xd8")
    assert b"review" in ask(served)[2].lower()


def test_what_is_accepted_becomes_a_set_that_training_takes(served, tmp_path):
    kept = [*boxes_of(served)["boxes"][1:], box(0, 0, 640, 480)]
    assert keep(served, {"boxes": kept, "accepted": True})[0] == 200
    assert keep(served, {"boxes": [], "accepted": True}, number=2)[0] == 200
    keep(served, {"boxes": [box(1, 2, 3, 4)], "accepted": False}, number=1)
    status, _, content = ask(served, "POST", "/write", b"", **OWN)
    assert status == 200
    assert "photos: 2 of 3. Boxes in them: 2." in json.loads(content)["told"]
    corrected = tmp_path / "corrected"
    source = open_source(corrected)
    assert source.splits == {"train": ("empty.jpg", "unsure.jpg")}
    # The suggestion of 0.3 was not taken.
    found = source.read("unsure.jpg").boxes_xyxy
    np.testing.assert_allclose(found, [[190, 100, 270, 160.5], [0, 0, 640, 480]])
    assert main(["data", "check", str(corrected)]) == 0
    assert json.loads((corrected / "manifest.json").read_text())["command"] == "acnet review"
    name = f"{corrected}:train"
    register_paths([name])
    assert [len(one["annotations"]) for one in DatasetCatalog.get(name)] == [0, 2]


def test_a_full_disk_loses_one_change_alone_and_a_restart_goes_on(
    served, results, tmp_path, monkeypatch
):
    sent = {"boxes": [box(10, 20, 30, 40)], "accepted": True}
    keep(served, sent)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(review_module, "write_json", full)
        status, _, content = keep(served, {"boxes": [], "accepted": False})
    assert (status, "No space left" in content.decode()) == (422, True)
    again = review_of(results, tmp_path / "corrected")
    for photo in (boxes_of(served), json.loads(again.file("boxes/0.json"))):
        assert (photo["boxes"], photo["accepted"]) == (sent["boxes"], True)
    assert json.loads(again.file("photos.json"))["photos"][0]["accepted"]
    assert not again.is_written
    assert "photos: 1 of 3. Boxes in them: 1." in again.write()
    assert again.is_written


def test_a_photo_is_changed_in_one_place_at_a_time(served):
    state = boxes_of(served)
    status, _, content = keep(served, {**state, "boxes": [box(1, 2, 3, 4)]})
    assert (status, json.loads(content)["revision"] > state["revision"]) == (200, True)
    status, _, content = keep(served, {**state, "boxes": []})  # another tab, which read the same
    assert (status, "in another tab" in json.loads(content)["error"]) == (422, True)
    assert len(boxes_of(served)["boxes"]) == 1


def test_a_second_program_loses_nothing_of_the_first(served, results, tmp_path):
    other = review_of(results, tmp_path / "corrected")
    keep(served, {"boxes": [], "accepted": True})
    for path, content in (("/boxes/1", b'{"boxes": [], "accepted": true}'), ("/write", b"")):
        with pytest.raises(UserError, match=r"one program at a time.*review\.json"):
            other.post(path, "", content)
    progress = json.loads((tmp_path / "corrected" / "review.json").read_text())
    assert list(progress["photos"]) == ["unsure.jpg"]


WRONG_BOXES = [
    *(box(*xyxy) for xyxy in [(-1, 0, 10, 10), (0, 0, 641, 10), (0, 0, 10, 480.5)]),
    *(box(*xyxy) for xyxy in [(700, 500, 800, 600), (10, 10, 10, 20), (20, 20, 10, 10), (0, 0, 1)]),
    *(box(0, 0, 10, last) for last in ("10", True, float("nan"), float("inf"), 10**400)),
    *(box(0, 0, 10, 10, name=name) for name in ("nose", ["acne"])),
    *(box(0, 0, 10, 10, score=score) for score in (2, "high")),
    *(box(0, 0, 10, 10, taken=1), {"xyxy": [0, 0, 10, 10]}, [], None),
]


ODD_JSON = [
    *(b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"[]", b'"boxes"', b"{}"),
    *(b'{"boxes": []}', b'{"boxes": {}, "accepted": true}', b'{"boxes": [], "accepted": 1}'),
    b'{"boxes": [' + b"[]," * 6000 + b'[]], "accepted": true}',
]


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        *(
            ({"boxes": [box(1, 2, 3, 4), wrong], "accepted": True}, "Draw it again")
            for wrong in WRONG_BOXES
        ),
        *((body, "Reload the page") for body in ODD_JSON),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_are_no_boxes_is_refused(served, body, remedy):
    before = boxes_of(served)
    status, _, content = keep(served, body)
    assert (status, remedy in json.loads(content)["error"]) == (422, True)
    assert boxes_of(served) == before


def test_a_strangers_page_reads_and_changes_nothing(served, tmp_path):
    before, stranger = boxes_of(served), {"Origin": "http://evil.example"}
    for path in ("/", "/photos.json", "/boxes/0.json", "/pictures/0.jpg"):
        assert ask(served, path=path, **stranger)[0] == 403
    assert keep(served, {"boxes": [], "accepted": True}, **stranger)[0] == 403
    assert ask(served, "POST", "/write", b"", **OWN, **stranger)[0] == 403
    assert ask(served, "POST", "/boxes/0", b'{"boxes": [], "accepted": true}')[0] == 403  # a form
    assert boxes_of(served) == before
    assert not (tmp_path / "corrected" / "annotations").exists()


ELSEWHERE = {
    "GET": [
        *("boxes/3.json", "boxes/-1.json", "boxes/٣.json".encode(), "boxes/99999999.json"),
        *("pictures/../sure.jpg", "photos/sure.jpg", "boxes/0.jpg", "%2e%2e/images.json"),
        "review.json",
    ],
    "POST": ["boxes/3", "boxes/-1", "boxes/0.json", "photos", "forget"],
}


def test_no_path_leads_elsewhere_and_too_much_is_not_read(served):
    for method, paths in ELSEWHERE.items():
        for path in paths:
            assert ask(served, method, f"/{path}", b"{}", **OWN)[0] == 404, path
    assert keep(served, b"", **{"Content-Length": "200000000"})[0] == 413
    assert ask(served, "POST", "/write", b"{}", **OWN)[0] == 413


def test_nothing_accepted_is_no_set_and_a_photo_that_is_gone_no_picture(served, results, tmp_path):
    status, _, content = ask(served, "POST", "/write", b"", **OWN)
    assert (status, "Accept some" in json.loads(content)["error"]) == (422, True)
    assert json.loads((tmp_path / "corrected" / "manifest.json").read_text())["complete"] is False
    (results / "photos" / "unsure.jpg").unlink()
    status, _, content = ask(served, path="/pictures/0.jpg")
    assert (status, "unsure.jpg" in json.loads(content)["error"]) == (422, True)


def test_a_data_set_keeps_its_splits_classes_and_flags(tmp_path):
    coco(tmp_path / "set")
    (tmp_path / "set" / "valid" / "c.jpg").write_bytes(b"no photo")
    source = open_source(tmp_path / "set")
    review = Review(source, tmp_path / "corrected", OPTIONS)
    rows = json.loads(review.file("photos.json"))["photos"]
    assert [row["name"][-5:] for row in rows] == ["a.jpg", "b.jpg", "d.jpg"]
    for number in range(3):
        photo = json.loads(review.file(f"boxes/{number}.json")) | {"accepted": True}
        review.post(f"/boxes/{number}", "", json.dumps(photo).encode())
    review.write()
    again = open_source(tmp_path / "corrected")
    assert again.class_names == source.class_names
    for split, names in again.splits.items():
        for name in names:
            assert name in source.splits[split]
            before, after = source.read(name), again.read(name)
            np.testing.assert_allclose(after.boxes_xyxy, before.boxes_xyxy)
            assert (after.names, after.crowd.tolist()) == (before.names, before.crowd.tolist())


@pytest.mark.parametrize("there", ["a file", "a prepared set", "another review", "spoilt"])
def test_nothing_of_others_is_replaced(results, tmp_path, there):
    corrected = tmp_path / "corrected"
    if there == "a file":
        write(corrected / "notes.txt", "mine")
    elif there == "a prepared set":
        assert main(["data", "import", str(results), str(corrected)]) == 0
    elif there == "spoilt":
        review_of(results, corrected)
        (corrected / "review.json").write_text('{"photos": {"sure.jpg": {"boxes": [')
    else:
        review_of(results, corrected).post("/boxes/0", "", b'{"boxes": [], "accepted": true}')
        write_results(results, {"sure.jpg": SIZE_WH}, {"sure.jpg": ()})  # without that photo
    before = contents(corrected)
    with pytest.raises(UserError):
        review_of(results, corrected)
    assert contents(corrected) == before


def test_a_set_inside_its_photos_is_refused_at_once(results):
    with pytest.raises(UserError, match="apart from its source"):
        review_of(results, results / "photos" / "corrected")


def test_the_command_goes_on_and_writes_at_its_end(results, tmp_path):
    corrected = tmp_path / "corrected"
    review_of(results, corrected).post("/boxes/0", "", b'{"boxes": [], "accepted": true}')
    words = ["review", str(results), "--output", str(corrected), "--port", "0", "--copy-images"]
    command = [sys.executable, "-m", "acnet.cli.main", *words]
    # In the background of a shell, Ctrl-C is ignored from the start.
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=listen) as running:
        address = running.stdout.readline()
        running.server_port = int(address.split(":")[2].split("/")[0])
        assert keep(running, {"boxes": [box(1, 2, 3, 4)], "accepted": True}, number=1)[0] == 200
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
    assert running.returncode == 0
    assert "photos: 2 of 3. Boxes in them: 1." in rest
    assert {path.name for path in (corrected / "images").iterdir()} == {"sure.jpg", "unsure.jpg"}
    manifest = json.loads((corrected / "manifest.json").read_text())
    assert manifest["command"].startswith("acnet review results --output corrected")


def center(page, xyxy):
    """Return where corners of the photo are on the screen."""
    return page.evaluate(
        """([x, y]) => {
          const sheet = document.getElementById("sheet");
          const at = new DOMPoint(x, y).matrixTransform(sheet.getScreenCTM());
          return [at.x, at.y];
        }""",
        xyxy,
    )


def drag(page, start, end):
    page.mouse.move(*center(page, start))
    page.mouse.down()
    page.mouse.move(*center(page, [(a + b) / 2 for a, b in zip(start, end, strict=True)]))
    page.mouse.move(*center(page, end))
    page.mouse.up()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(browser, served, tmp_path, width, run_python):
    page = browser.new_page(viewport={"width": width, "height": 800})
    messages, hosts = [], set()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))

    def kept(number=0):
        page.wait_for_selector("#stage:not([aria-busy='true'])")
        return [np.round(one["xyxy"], 1).tolist() for one in boxes_of(served, number)["boxes"]]

    page.goto(served.url)
    page.wait_for_selector("#boxes rect")
    page.wait_for_load_state("networkidle")
    first, second, suggested = kept()
    drag(page, [100, 300], [200, 400])  # add
    added = kept()[3]
    np.testing.assert_allclose(added, [100, 300, 200, 400], atol=2)
    drag(page, [150, 350], [250, 330])  # move
    np.testing.assert_allclose(kept()[3], np.add(added, [100, -20, 100, -20]), atol=2)
    moved = kept()[3]
    page.keyboard.press("ArrowRight")
    nudged = kept()[3]
    assert nudged[0] > moved[0]
    side = 4 / page.evaluate("document.getElementById('sheet').getScreenCTM().a")
    drag(page, [nudged[2] + side, nudged[3] + side], [500, 460])  # resize
    np.testing.assert_allclose(kept()[3][2:], [500 - side, 460 - side], atol=2)
    assert kept()[3][:2] == nudged[:2]
    page.reload()
    page.wait_for_selector("#boxes rect")
    assert len(kept()) == 4
    page.mouse.click(*center(page, [80, 130]))
    page.keyboard.press("Delete")
    assert kept()[:2] == [second, suggested]
    page.keyboard.press("u")
    assert kept()[:3] == [first, second, suggested]
    page.click("#redo")
    assert kept()[:2] == [second, suggested]
    page.keyboard.press("Control+z")
    page.keyboard.press("Escape")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("a")  # take the suggested one
    kept()
    assert boxes_of(served)["boxes"][2]["taken"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    side = int(width == 390)  # where there is room beside the photo: left, or above it
    drag(page, *(([400, -60], [440, 50]) if side else ([-60, 400], [50, 440])))
    assert kept()[-1][side] == 0
    np.testing.assert_allclose(kept()[-1][side + 2], 50, atol=2)
    page.keyboard.press("u")
    page.keyboard.down("Enter")
    page.wait_for_selector("#status:has-text('photo 2 of')")
    page.keyboard.down("Enter")  # held, it accepts no photo that nobody has looked at
    page.keyboard.up("Enter")
    assert page.inner_text("#status").startswith("photo 2 of 3, 1 accepted")
    page.click("#previous")
    page.wait_for_selector("#accept:has-text('Accepted')")
    page.click("#accept")  # and take it back
    page.wait_for_selector("#status:has-text('0 accepted')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('photo 2 of')")
    page.click("#accept")
    page.wait_for_selector("#status:has-text('photo 3 of')")
    page.click("#add")
    page.click("#accept")
    page.wait_for_selector("#told:not([hidden])")
    page.click("#write")
    page.wait_for_selector("#told:has-text('is written')")
    assert (messages, hosts) == ([], {f"127.0.0.1:{served.server_port}"})
    assert main(["data", "check", str(tmp_path / "corrected")]) == 0
    source = open_source(tmp_path / "corrected")
    counts = [len(source.read(name).names) for name in source.splits["train"]]
    assert counts == [1, 2, 4]
    if width == 1280:
        options = ("--from", "acnet-r18-demo", "--data", "corrected", "train.output_dir=tuned")
        steps = ("train.max_iter=20", "dataloader.train.num_workers=0")
        words = ("-W", "ignore", "-m", "acnet.cli.main", "train", *options, *steps)
        assert "AP50 on 1 held-out photo:" in run_python(*words, cwd=tmp_path)
