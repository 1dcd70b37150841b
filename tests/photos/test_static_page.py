"""The page for any web server: its files, its JavaScript beside the Python, and a browser."""

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acnet.cli.main import main
from acnet.errors import UserError
from acnet.evaluation.count_model import Domain
from acnet.photos.decode import EXIF_ORIENTATION, resize
from acnet.photos.grid import PhotoSizing, TilingOptions
from acnet.photos.merge import MergeOptions, TileDetections, merge_tiles
from acnet.photos.results import CountRule, arrays_of, photo_traits
from acnet.photos.static_page import SCRIPT, WASM, read_runtime, write_static_page

REPO_ROOT = Path(__file__).resolve().parents[2]
SAMPLES = REPO_ROOT / "datasets/sample_photos"
# The .tgz of `npm pack onnxruntime-web`, which is not ours to keep here.
RUNTIME = os.environ.get("ACNET_ONNXRUNTIME_WEB", "")
ABOUT = "package/package.json"
PACKAGE = {
    ABOUT: b'{"name": "onnxruntime-web", "version": "1.30.0"}',
    f"package/dist/{SCRIPT}": b"script",
    f"package/dist/{WASM}": b"wasm",
    "package/dist/ort.webgl.min.js": b"not needed",
}
TILING = TilingOptions(tile_px=64, overlap_px=16, exact=True)
SIZING = PhotoSizing(size_px=128, lesion_px=9.5)


def packed(path, files=PACKAGE, *, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            archive.addfile(member, io.BytesIO(content))
    return path


def write(folder, model=b"model", **changes):
    source = folder.parent / "given.onnx"
    source.write_bytes(model)
    runtime = read_runtime(packed(folder.parent / "runtime.tgz"))
    options = {"batch": 0, "input_format": "BGR", "class_names": ("acne",), "rule": CountRule()}
    options |= {"tiling": TILING, "sizing": SIZING, **changes}
    return write_static_page(folder, runtime, source, **options)


def files_in(folder):
    return {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}


def test_the_page_is_written_with_all_that_it_needs(tmp_path):
    folder = tmp_path / "new" / "page"
    folder.parent.mkdir()
    size = write(folder)
    settings = json.loads((folder / "settings.json").read_text())
    runtime = {"onnxruntime/ort.wasm.bundle.min.js", f"onnxruntime/{WASM}"}
    assert settings["files"].keys() == {"index.html", "detector.js", "model.onnx", *runtime}
    assert files_in(folder) == {"settings.json", *settings["files"]}
    contents = {name: (folder / name).read_bytes() for name in settings["files"]}
    assert size == sum(map(len, contents.values()))
    page = contents["index.html"].decode()
    for name, content in contents.items():
        assert settings["files"][name] == hashlib.sha256(content).hexdigest()
        assert name == "index.html" or settings["files"][name] in page
    assert "onnxruntime-web 1.30.0" in page
    assert "://" not in page.partition("</head>")[0]
    assert settings["tiling"]["tile_px"] == 64
    assert settings["sizing"]["follows"]


def test_the_package_is_taken_as_a_folder_too(tmp_path):
    for name, content in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert read_runtime(tmp_path / "package") == read_runtime(packed(tmp_path / "runtime.tgz"))


def test_an_earlier_page_is_replaced_and_nothing_else(tmp_path):
    folder = tmp_path / "page"
    write(folder)
    (folder / "notes.txt").write_text("mine")
    write(folder, b"another model")
    assert (folder / "model.onnx").read_bytes() == b"another model"
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "index.html").write_text("changed by hand")
    with pytest.raises(UserError, match=r"where index\.html cannot be replaced"):
        write(folder)
    assert (folder / "model.onnx").read_bytes() == b"another model"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("index.html", lambda path: path.write_text("a site")),
        ("settings.json", lambda path: path.write_text("{}")),
        ("model.onnx", lambda path: path.mkdir()),
        ("detector.js", lambda path: path.symlink_to(path.parent.parent / "away")),
        ("onnxruntime", lambda path: path.symlink_to(path.parent.parent)),
    ],
    ids=["page", "settings", "folder", "link", "link to a folder"],
)
def test_what_others_put_there_stays(tmp_path, name, make):
    folder = tmp_path / "page"
    folder.mkdir()
    make(folder / name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=f"where {name}"):
        write(folder)
    given = {tmp_path / "given.onnx", tmp_path / "runtime.tgz"}
    assert set(tmp_path.rglob("*")) - set(before) <= given


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"../evil": b""}, "not that package"),
        ({"package/../../evil": b""}, "not that package"),
        ({"/tmp/evil": b""}, "not that package"),
        ({ABOUT: b"[]"}, "not that package"),
        ({ABOUT: b'{"name": "evil"}'}, "not that package"),
        (
            {ABOUT: b'{"name": "onnxruntime-web", "version": "1.19.2"}'},
            "is onnxruntime-web 1.19.2; it needs onnxruntime-web 1.20 or later",
        ),
        ({f"package/dist/{WASM}": None}, "it needs onnxruntime-web 1.20"),
    ],
)
def test_another_package_is_refused_with_the_remedy(tmp_path, changes, fault):
    files = {name: one for name, one in {**PACKAGE, **changes}.items() if one is not None}
    (tmp_path / "inside").mkdir()
    with pytest.raises(UserError, match=f"{fault}.*npm pack onnxruntime-web"):
        read_runtime(packed(tmp_path / "inside" / "a.tgz", files))
    assert not any("evil" in path.name for path in tmp_path.rglob("*"))


def test_what_is_no_package_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "b.tgz").write_bytes(b"no archive")
    for path, fault in (
        (None, "Received nothing"),
        (tmp_path / "no.tgz", "No such file"),
        (tmp_path, "not that package"),
        (packed(tmp_path / "a.tgz", kind=tarfile.SYMTYPE), "not that package"),
        (tmp_path / "b.tgz", "cannot be read"),
    ):
        with pytest.raises(UserError, match=f"{fault}.*npm pack onnxruntime-web"):
            read_runtime(path)


def test_models_that_resize_photos_are_refused(tmp_path):
    with pytest.raises(UserError, match="whose config resizes photos"):
        write(tmp_path / "page", tiling=TilingOptions(tile_px=None, exact=True))


@pytest.mark.parametrize(
    ("words", "fault"),
    [(["--static", "page"], "npm pack onnxruntime-web"), (["--runtime", "a.tgz"], "--static DIR")],
)
def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys, words, fault):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *words]) == 2
    assert fault in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def settings_of(tmp_path, **changes):
    write(tmp_path / "page", **changes)
    return json.loads((tmp_path / "page" / "settings.json").read_text())


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


def in_node(code, **values):
    """Return what JavaScript gives of the page's functions; arrays (H, W, 3) are pictures."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    script = REPO_ROOT / "acnet/templates/detector.js"
    program = f"""
const fs = require("fs");
require("vm").runInThisContext(fs.readFileSync({json.dumps(str(script))}, "utf8"));
const values = JSON.parse(fs.readFileSync(0, "utf8"));
for (const one of Object.values(values)) if (one.data) one.data = Uint8ClampedArray.from(one.data);
const plain = (key, value) => (ArrayBuffer.isView(value) ? [...value] : value);
(async () => {{ {code} }})().then((found) => console.log(JSON.stringify(found, plain)));
"""
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.ndim == 3:
            data = value[:, :, ::-1].ravel().tolist()  # the arrays are BGR
            values[name] = {"width": value.shape[1], "height": value.shape[0], "data": data}
    words = ["node", "-e", program]
    run = subprocess.run(words, input=json.dumps(values), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    image = coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width].astype(int)
    return (image + rng.integers(-20, 20, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "size_wh",
    [(40, 30), (60, 45), (47, 31), (120, 90), (200, 150), (240, 180), (1, 1)],
    ids=str,
)
def test_photos_are_resized_as_in_python(size_wh):
    photo = noise(90, 120)
    found = in_node(f"return resize(values.photo, {size_wh[0]}, {size_wh[1]}).data", photo=photo)
    expected = resize(photo, size_wh)[:, :, ::-1].ravel()
    difference = np.abs(np.array(found) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("shape", [(200, 300), (300, 150), (40, 40), (3, 500), (1, 1)], ids=str)
def test_traits_are_those_of_python(settings, shape):
    photo = noise(*shape)
    code = "return photoTraits(values.photo, values.settings.traits)"
    found = in_node(code, photo=photo, settings=settings)
    np.testing.assert_allclose(found, photo_traits(photo), atol=0.02)


def test_a_photo_unlike_those_of_the_fit_is_not_counted():
    photo = noise(60, 80)
    traits = photo_traits(photo)
    domain = Domain(mean=tuple(traits + 1.0), scale=(1.0,) * len(traits), limit=np.log(2.1))
    code = "return [values.near, values.far, null].map((domain) => isLike(values.traits, domain))"
    near, far = vars(domain), {**vars(domain), "limit": np.log(1.9)}
    assert in_node(code, traits=traits.tolist(), near=near, far=far) == [True, False, True]


@pytest.mark.parametrize("size_hw", [(64, 64), (40, 30), (65, 64), (300, 500), (113, 112)], ids=str)
def test_tiles_and_their_parts_are_those_of_python(settings, size_hw):
    code = (
        "const tiles = tilesOf(values.width, values.height, values.tiling);"
        "return tiles.map(({ box, part }) => [box, part])"  # JSON's infinity is null
    )
    found = in_node(code, height=size_hw[0], width=size_hw[1], tiling=settings["tiling"])
    tiles = TILING.tiles(size_hw)
    assert [box for box, _ in found] == tiles.tolist()
    parts = TILING.parts(tiles)
    if parts is None:
        parts = np.array([[0, 0, size_hw[1], size_hw[0]]])
    expected = [[one if np.isfinite(one) else None for one in part] for part in parts.tolist()]
    assert [part for _, part in found] == expected


def random_boxes(count, size_hw, seed, *, side_px=10.0):
    """Return boxes (2 * count, 4), each with one that is nearly the same, and their scores."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (count, 2)) * size_hw[::-1]
    sides = side_px * rng.uniform(0.5, 2, (count, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1).repeat(2, axis=0)
    boxes += rng.uniform(-0.2, 0.2, boxes.shape) * side_px
    scores = rng.choice(np.linspace(0.0005, 0.999, 40), 2 * count)  # some are equal
    return boxes.astype(np.float32), scores.astype(np.float32)


def listed(boxes, scores, classes, tiles):
    columns = zip(boxes.tolist(), scores.tolist(), classes.tolist(), tiles.tolist(), strict=True)
    return [{"box": b, "score": s, "index": c, "tile": t} for b, s, c, t in columns]


@pytest.mark.parametrize("seed", range(4))
def test_tiles_are_merged_as_in_python(settings, seed):
    size_hw, rng = (300, 400), np.random.default_rng(seed)
    tiles = TILING.tiles(size_hw)
    boxes, scores = random_boxes(200, size_hw, seed)
    arrays = boxes, scores, rng.integers(0, 2, 200).repeat(2), rng.integers(0, len(tiles), 400)
    names = ("boxes_xyxy", "scores", "classes", "tiles")
    detections = TileDetections(**dict(zip(names, arrays, strict=True)))
    expected = merge_tiles(detections, tiles, size_hw, MergeOptions())
    code = (
        "const tiles = tilesOf(values.width, values.height, values.tiling);"
        "return mergeTiles(values.found, tiles, values.width, values.height, values.merging)"
    )
    given = {"width": 400, "height": 300, "tiling": settings["tiling"]}
    found = in_node(code, **given, found=listed(*arrays), merging=settings["merge"])
    assert 0 < len(found) < 400
    assert found == listed(*(getattr(expected, name) for name in names))


@pytest.mark.parametrize("wanted", ["auto", "native", 96])
def test_sizes_are_chosen_as_in_python(tmp_path, wanted):
    sizing = PhotoSizing(size_px=128, lesion_px=9.5, wanted=wanted)
    cases, expected = [], []
    for seed, image_hw in enumerate([(40, 30), (128, 100), (300, 500), (2000, 3000)] * 8):
        side_px = 9.5 * max(image_hw) / 128 * 1.08 ** (seed - 16)
        boxes, scores = random_boxes(seed, image_hw, seed, side_px=side_px)
        size_px = sizing.first(image_hw)
        others = [size_px, round(1.1 * size_px), round(0.7 * size_px)]  # that it was seen at
        sizes = [sizing.following(one, image_hw, boxes, scores) for one in others]
        expected.append([size_px, *sizes])
        found = listed(boxes, scores, *np.zeros((2, len(scores)), int))
        cases.append({"longPx": max(image_hw), "found": found, "others": others})
    code = (
        "return values.cases.map(({ longPx, found, others }) => {"
        "  const next = (size) => followingSize(size, longPx, found, values.sizing);"
        "  return [firstSize(longPx, values.sizing), ...others.map(next)];"
        "})"
    )
    settings = settings_of(tmp_path, sizing=sizing)["sizing"]
    assert in_node(code, cases=cases, sizing=settings) == expected


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve the page of the bundled weights as any web server does; return its address."""
    if not RUNTIME:
        pytest.skip("needs onnxruntime-web, the .tgz of `npm pack`, as ACNET_ONNXRUNTIME_WEB")
    folder = tmp_path_factory.mktemp("static") / "page"
    assert main(["serve", "--static", f"{folder}", "--runtime", RUNTIME]) == 0

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=f"{folder}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def photos_for(folder):
    """The samples, one that lies on its side and one so large that it is seen smaller."""
    first, second = (Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg")))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    first.crop((0, 200, 640, 640)).save(folder / "turned.jpg", exif=exif, quality=95)
    second.resize((1500, 1500)).save(folder / "large.png")
    return [*sorted(SAMPLES.glob("*.jpg")), folder / "turned.jpg", folder / "large.png"]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_finds_the_same_boxes(browser, served, tmp_path, width):
    import acnet

    paths = photos_for(tmp_path) if width == 1280 else sorted(SAMPLES.glob("*.jpg"))
    page = browser.new_page(viewport={"width": width, "height": 800})
    messages, hosts = [], set()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(f"http://{served}/")
    page.wait_for_selector("#choose:not([disabled])")
    page.set_input_files("#choose", paths)
    page.wait_for_selector(f".card:nth-child({len(paths)})", timeout=120_000)
    page.wait_for_selector("#choose:not([disabled])")

    def download(name):
        with page.expect_download() as saved:
            page.click(f"footer a[href='{name}']")
        return saved.value.path().read_text()

    rows = json.loads(download("predictions.json"))
    counts = download("counts.csv").splitlines()[1:]
    images = json.loads(download("images.json"))["images"]
    predictor = acnet.load(REPO_ROOT / "weights/acnet-r18-demo.onnx")
    for number, path in enumerate(paths, start=1):
        found, count = predictor(path), predictor.count(path)
        shown = np.asarray(found.scores) >= 0.05  # all that the slider can show
        own = [row for row in rows if row["image_id"] == number and row["score"] >= 0.05]
        boxes, scores, _ = arrays_of(own)
        np.testing.assert_allclose(boxes, np.asarray(found.pred_boxes.tensor)[shown], atol=0.03)
        np.testing.assert_allclose(scores, np.asarray(found.scores)[shown], atol=1e-3)
        assert counts[number - 1].startswith(f"{path.name},{count.count},{count.low},{count.high},")
        height, width_px = found.image_size
        assert [images[number - 1][side] for side in ("height", "width")] == [height, width_px]
        assert images[number - 1]["has_count"] is (count.count is not None)
        card = page.locator(f".card[data-name='{path.name}']")
        assert card.locator(".counted").inner_text() == f"{count.count}"
    assert len(download("lesions.csv").splitlines()) - 1 == int(page.inner_text("#total"))
    page.locator(".tools input[type=range]").fill("1")
    assert page.inner_text("#total") == "0"
    page.locator(".frame").first.click()
    page.click("#larger")
    assert page.evaluate("document.getElementById('sheet').style.width") == "150%"
    page.click("#close")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"{width}.png")
    assert messages == []
    assert hosts <= {served, ""}  # and files that the page made itself
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    page.set_input_files("#choose", tmp_path / "broken.jpg")
    page.wait_for_selector("#problem:not([hidden])")
    assert "cannot read it as a picture" in page.inner_text("#problem")
    page.click("#forget")
    page.wait_for_selector(".card", state="detached")
    assert page.inner_text("#total") == "0"


def test_the_page_may_ask_no_other_host(browser, served):
    page = browser.new_page()
    page.goto(f"http://{served}/")
    page.wait_for_selector("#choose:not([disabled])")
    other = f"http://localhost:{served.split(':')[1]}/"
    asked = f"fetch('{other}', {{mode: 'no-cors'}})"  # which needs no leave of the other host
    ask = f"{asked}.then(() => 'answered', () => 'refused')"
    assert page.evaluate(ask) == "refused"
    worker = f"""new Promise((resolve) => {{
      const code = "{ask}.then(postMessage)";
      const worker = new Worker(URL.createObjectURL(new Blob([code])));
      worker.onmessage = (event) => resolve(event.data);
    }})"""
    assert page.evaluate(worker) == "refused"
