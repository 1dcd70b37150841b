"""What works where only `requirements/light.txt` is installed: no torch, detectron2 or OpenCV."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import acnet
from acnet.checkpoint.bundle import named_weights
from acnet.export.metadata import read_export
from acnet.files import file_sha256
from acnet.inference.trained_model import find_weights
from acnet.photos.read import as_bgr

REPO_ROOT = Path(__file__).resolve().parents[1]
PHOTOS = REPO_ROOT / "datasets" / "sample_photos"
BOX_PX, SCORE = 0.01, 1e-4
FAINT = 0.05  # boxes of lower scores move more, and count for nothing


@pytest.fixture(scope="session")
def light(tmp_path_factory):
    """Return a function that runs acnet, or code, with the light requirements alone."""
    site = tmp_path_factory.mktemp("light")
    names = re.findall(r"^\w+", (REPO_ROOT / "requirements" / "light.txt").read_text(), re.M)
    seen = set()
    while names:
        name = names.pop()
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"needs {name}, of the extra [export]")
        for top in {file.parts[0] for file in package.files} - {".."}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
        needed = [one for one in package.requires or () if "extra ==" not in one]
        names += {re.match(r"[\w.-]+", one)[0] for one in needed if ";" not in one} - seen
        seen.update(names)

    def run(*words, code=None):
        paths = os.pathsep.join(map(str, (site, REPO_ROOT)))
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        program = ["-m", "acnet.cli.main"] if code is None else ["-c", code]
        words = [sys.executable, "-S", *program, *map(str, words)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def results(light, tmp_path_factory):
    """Return the folder of a prediction of the sample photos."""
    output = tmp_path_factory.mktemp("results")
    done = light("predict", PHOTOS, "--output", output)
    assert done.returncode == 0, done.stderr
    assert re.search(r"onnxruntime \S+ runs acnet-r18-demo\.onnx", done.stderr)
    return output


@pytest.mark.parametrize("name", ["torch", "detectron2", "cv2", "matplotlib", "numba", "scipy"])
def test_the_heavy_packages_are_not_there(light, name):
    assert "ModuleNotFoundError" in light(code=f"import {name}").stderr


def test_the_doctor_finds_no_fault(light, tmp_path):
    done = light("doctor")
    assert done.returncode == 0, done.stdout
    assert re.search("note +torch, detectron2 .*\n.*facebookresearch/detectron2@", done.stdout)
    assert re.search(r"predict, serve, .* work here; training and export need .*\n$", done.stdout)
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('lib is missing')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from acnet.cli.main import main; "
    done = light(code=code + "sys.exit(main(['doctor', '--json']))")
    document = json.loads(done.stdout)
    assert (done.returncode, document["kind"], document["faults"]) == (1, "light", 1)


def test_the_same_boxes_as_of_the_model_itself(results):
    predictor = acnet.load(device="cpu", precision="float32", engine="eager")
    rows = json.loads((results / "predictions.json").read_text())
    for image_id, path in enumerate(sorted(PHOTOS.glob("*.jpg")), start=1):
        expected = predictor.detect(as_bgr(path))
        ours = [row for row in rows if row["image_id"] == image_id]
        assert len(ours) == len(expected) > 50
        corners = np.array([row["bbox"] for row in ours])
        corners[:, 2:] += corners[:, :2]
        # Equal scores may come in another order, so each box looks for its like.
        far = np.abs(corners[:, None] - expected.boxes_xyxy).max(axis=2)
        sure = expected.scores[far.argmin(axis=1)] >= FAINT
        assert far.min(axis=1)[sure].max() < BOX_PX
        assert far.min(axis=1).max() < 10 * BOX_PX
        assert len(set(far.argmin(axis=1))) == len(ours)
        scores = expected.scores[far.argmin(axis=1)]
        np.testing.assert_allclose([row["score"] for row in ours], scores, atol=SCORE)


def test_pictures_and_page_are_there(results):
    assert len(list((results / "pictures").glob("*.jpg"))) == 2
    assert "Lesions found" in (results / "index.html").read_text()


def test_saved_predictions_are_evaluated(light, results, tmp_path):
    about = json.loads((results / "images.json").read_text())
    box = {"bbox": [170, 473, 53, 52], "area": 2756, "iscrowd": 0, "category_id": 1}
    about["annotations"] = [{"id": 1, "image_id": 1, **box}]
    truth = tmp_path / "gt.json"
    truth.write_text(json.dumps(about))
    words = ("evaluate", truth, results / "predictions.json")
    done = light(*words, "--quiet", "--json")
    assert json.loads(done.stdout)["data"]["photos"] == 2, done.stderr
    refused = light(*words, "--report", tmp_path / "report")
    assert refused.returncode == 2
    assert re.search(r"needs \w+, which the light installation lacks", refused.stderr)


def test_found_boxes_become_a_data_set_and_labels(light, results, tmp_path):
    done = light("data", "import", results, tmp_path / "set")
    assert done.returncode == 0, done.stderr
    done = light("labels", results, "--as", "yolo", "--output", tmp_path / "labels")
    assert " boxes of 2 photos" in done.stdout


def test_found_boxes_are_reviewed(light, results, tmp_path):
    code = (
        "import sys\n"
        "from acnet.data.import_set import ImportOptions\n"
        "from acnet.data.readers.formats import open_source\n"
        "from acnet.data.review import Review\n"
        "review = Review(open_source(sys.argv[1]), sys.argv[2], ImportOptions())\n"
        "photo = review.file('boxes/0.json').replace(b'false', b'true')\n"
        "assert review.page() and review.file('pictures/0.jpg')\n"
        "review.post('/boxes/0', '', photo)\n"
        "print(review.write())"
    )
    done = light(results, tmp_path / "corrected", code=code)
    assert "Accepted photos: 1 of 2." in done.stdout, done.stderr


def test_a_page_is_served(light):
    code = (
        "import acnet, http.client, sys, threading\n"
        "from acnet.photos.server import PhotoServer, Session\n"
        "server = PhotoServer(Session(acnet.load()), 0)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "client = http.client.HTTPConnection('127.0.0.1', server.server_port)\n"
        "content = open(sys.argv[1], 'rb').read()\n"
        "client.request('POST', '/photos', content, {'X-ACNet': '1', 'X-Name': 'a.jpg'})\n"
        "print(client.getresponse().status)\n"
        "client.request('GET', '/counts.csv')\n"
        "print(client.getresponse().read().decode())"
    )
    done = light(PHOTOS / "generated_1.jpg", code=code)
    assert re.match(r"200\nphoto,count,.*\na\.jpg,\d+,\d+,\d+,", done.stdout), done.stderr


def test_python_gets_instances_of_numpy(light):
    code = (
        "import acnet, sys\n"
        "found = acnet.load()(sys.argv[1])\n"
        "best = found[found.scores > 0.9]\n"
        "print(type(found).__name__, len(best), best.pred_boxes.tensor.shape)"
    )
    done = light(PHOTOS / "generated_1.jpg", code=code)
    assert re.fullmatch(r"PlainInstances (\d+) \(\1, 4\)\n", done.stdout), done.stderr


def test_weights_without_an_exported_file_of_their_own_are_refused(light, tiny_weights, tmp_path):
    done = light("predict", PHOTOS, "--weights", tiny_weights, "--output", tmp_path / "results")
    assert done.returncode == 2
    assert "acnet export model_final.pth --output model_final.onnx" in done.stderr
    bundled, weights = find_weights(None), tmp_path / "other.safetensors"
    weights.write_bytes(bundled.read_bytes() + b"\0")
    weights.with_suffix(".onnx").write_bytes(bundled.with_suffix(".onnx").read_bytes())
    done = light("predict", PHOTOS, "--weights", weights)
    assert "other.onnx beside it is of other weights" in done.stderr


@pytest.mark.parametrize("path", named_weights().values(), ids=list(named_weights()))
def test_bundled_weights_are_exported_anew_when_they_change(path):
    exported = path.with_suffix(".onnx")
    command = f"acnet export weights/{path.name} --tile 736 --output weights/{exported.name}"
    same = read_export(exported).settings.weights_sha256 == file_sha256(path)
    assert same, f"run `{command}`"
    assert exported.stat().st_size < 10e6


def test_the_dockerfile_copies_what_its_installation_reads():
    lines = re.findall(r"^(\w+) (.+)$", (REPO_ROOT / "Dockerfile").read_text(), re.M)
    kinds = [kind for kind, _ in lines]
    assert kinds[0] == "FROM"
    assert set(kinds) <= {"FROM", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD"}
    copied = {name for kind, rest in lines if kind == "COPY" for name in rest.split()[:-1]}
    assert [name for name in copied if not (REPO_ROOT / name).exists()] == []
    places = re.findall(r'": "([\w/]+)"', (REPO_ROOT / "setup.py").read_text())
    assert {"acnet", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"} <= copied
    assert all(any(Path(place).is_relative_to(name) for name in copied) for place in places)
    asked = re.findall(r"-[cr] (\S+)", " ".join(rest for kind, rest in lines if kind == "RUN"))
    assert set(asked) == {"constraints.txt", "requirements/light.txt"} <= copied
    for kind, rest in lines:
        if kind in {"ENTRYPOINT", "CMD"}:
            assert all(isinstance(word, str) for word in json.loads(rest))
