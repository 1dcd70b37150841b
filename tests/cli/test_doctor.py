"""The examination: what works is ok, and a broken package is a finding and no traceback."""

import json
import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from acnet.checkpoint import bundle
from acnet.cli import doctor
from acnet.cli.doctor import Finding, Found, check_packages, guarded
from acnet.cli.main import main
from acnet.export import metadata as engine_names

BROKEN = {
    "missing": "raise ModuleNotFoundError(\"No module named '{0}'\", name='{0}')",
    "built for another machine": "raise OSError('lib{0}.so: cannot open shared object file')",
    "of another version": "raise AttributeError('module has no attribute X\\nand more')",
    "ending the program": "raise SystemExit(3)",
}


@pytest.fixture
def examine_without(tmp_path, repo_root):
    """Return a runner of `acnet doctor --json` in which some modules break when imported."""

    def run(*modules: str, how: str = "missing") -> tuple[int, dict[str, dict]]:
        for name in modules:
            (tmp_path / f"{name}.py").write_text(BROKEN[how].format(name))
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{repo_root}"}
        words = [sys.executable, "-m", "acnet.cli.main", "doctor", "--json"]
        done = subprocess.run(
            words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        document = json.loads(done.stdout)
        return done.returncode, {finding["name"]: finding for finding in document["findings"]}

    return run


def test_this_environment_works(capsys):
    # The one that runs these tests must; an absent GPU is a note.
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("acnet can work here, and train\n")
    assert "fault" not in shown
    names = [line.split()[1] for line in shown.splitlines() if not line.startswith((" ", "acnet"))]
    assert {"python", "torch", "detectron2", "GPU", "pictures", "disk", "weights"} <= set(names)
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["faults"]) == ("whole", 0)
    assert all(set(one) == {"name", "status", "text", "remedy"} for one in document["findings"])


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_torch_is_a_finding(examine_without, how):
    status, findings = examine_without("torch", how=how)
    assert status == 1
    assert findings["torch"]["status"] == "fault"
    assert "make env" in findings["torch"]["remedy"]
    assert findings["python"]["status"] == "ok"
    assert findings["cv2"]["status"] == "ok"


def test_missing_packages_are_named_with_what_installs_them(examine_without):
    status, findings = examine_without("hydra", "jinja2", "detectron2", "torch")
    assert status == 1
    assert findings["other packages"]["text"] == "hydra is not installed; jinja2 is not installed"
    assert "hydra-core jinja2" in findings["other packages"]["remedy"]
    ways = ["facebookresearch/detectron2@", "-c conda-forge detectron2", "detectron2.txt"]
    assert re.search(".*".join(map(re.escape, ways)), findings["detectron2"]["remedy"])


def test_what_a_check_raises_is_what_it_found():
    def check() -> Found:
        raise RuntimeError("first line\nsecond line")

    assert guarded("x", check, remedy="mend it") == Finding(
        name="x", status="fault", text="does not work (RuntimeError: first line)", remedy="mend it"
    )


@pytest.mark.parametrize(("free_gb", "status"), [(50, "ok"), (3, "note"), (0.1, "fault")])
def test_little_disk_space_is_said(monkeypatch, tmp_path, free_gb, status):
    usage = namedtuple("usage", "free")(free_gb * 1e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", {tmp_path: usage}.get)
    assert doctor._disk(tmp_path)[0] == status


def test_weights_are_named(monkeypatch):
    monkeypatch.setattr(bundle, "named_weights", dict)
    assert doctor._weights()[0] == "note"
    two = {name: Path(f"{name}.safetensors") for name in ("large", "small")}
    monkeypatch.setattr(bundle, "named_weights", lambda: two)
    assert doctor._weights() == ("ok", "by name: large, small")


def test_engines_that_are_missing_are_a_note_with_the_line_that_installs_them(
    monkeypatch, examine_without
):
    monkeypatch.setattr(
        engine_names, "find_spec", lambda package: None if "vino" in package else True
    )
    finding = next(one for one in check_packages() if one.name == "engines")
    assert finding.status == "note"
    assert finding.text.startswith("eager, ")
    assert "for openvino: `pip install openvino`" in finding.remedy
    status, findings = examine_without("onnxruntime", how="built for another machine")
    assert status == 1
    assert "pip install" in findings["engines"]["remedy"]
