"""ONNX Runtime tells nobody what it runs."""

import os
import subprocess
import sys

import pytest
import torch

from acnet.errors import UserError
from acnet.inference.engines.onnx_runtime import OnnxRuntimeSession

LOAD = (
    "import sys, torch; from pathlib import Path;"
    "from acnet.inference.engines.onnx_runtime import OnnxRuntimeSession;"
    "OnnxRuntimeSession(Path(sys.argv[1]), torch.device('cpu'))"
)


def test_it_keeps_no_records_to_send(tmp_path, exported, repo_root):
    # Left to itself it writes an identifier and a queue of events below the user's cache.
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment.pop("CI", None)
    words = [sys.executable, "-c", LOAD, str(exported(".onnx"))]
    subprocess.run(words, cwd=repo_root, env=environment, check=True, capture_output=True)
    assert [path for path in tmp_path.rglob("*") if "onnx" in path.name.lower()] == []


def test_a_device_that_it_was_not_built_for(exported):
    with pytest.raises(UserError, match=r"here .*CPUExecutionProvider.* Received --device xpu"):
        OnnxRuntimeSession(exported(".onnx"), torch.device("xpu"))
