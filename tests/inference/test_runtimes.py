"""Runtimes tell nobody what they run, and end what does not end."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from acnet.errors import UserError
from acnet.export.metadata import INPUT_NAMES, OUTPUT_NAMES
from acnet.inference.runtimes import OnnxRuntimeSession

LOAD = (
    "import sys; from pathlib import Path;"
    "from acnet.inference.runtimes import OnnxRuntimeSession;"
    "OnnxRuntimeSession(Path(sys.argv[1]), 'cpu')"
)


def test_it_keeps_no_records_to_send(tmp_path, exported, repo_root):
    # Left to itself it writes an identifier and a queue of events below the user's cache.
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment.pop("CI", None)
    words = [sys.executable, "-c", LOAD, str(exported())]
    subprocess.run(words, cwd=repo_root, env=environment, check=True, capture_output=True)
    assert [path for path in tmp_path.rglob("*") if "onnx" in path.name.lower()] == []


def test_a_device_that_it_was_not_built_for(exported):
    with pytest.raises(UserError, match=r"here .*CPUExecutionProvider.* Received --device xpu"):
        OnnxRuntimeSession(exported(), "xpu")


def onnx_with(nodes, inputs, tmp_path):
    """Write a model of these nodes with the outputs of a detector."""
    onnx = pytest.importorskip("onnx", reason="needs the extra [export]")
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    info, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    kinds = {"images": onnx.TensorProto.UINT8}
    given = [info(name, kinds.get(name, float32), None) for name in inputs]
    made = [info(name, float32, None) for name in OUTPUT_NAMES]
    graph = onnx.helper.make_graph(nodes(onnx.helper), "hostile", given, made)
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def endless(helper):
    """A loop whose condition is always true, for 2^62 turns."""
    node, info = helper.make_node, helper.make_tensor_value_info
    turns = [node("Identity", ["go"], ["go_on"]), node("Identity", ["value"], ["next"])]
    given = [info("turn", 7, []), info("go", 9, []), info("value", 1, None)]
    body = helper.make_graph(turns, "body", given, [info("go_on", 9, []), info("next", 1, None)])
    return [
        node("Constant", [], ["most"], value_int=2**62),
        node("Loop", ["most", "", "parts_xyxy"], ["boxes"], body=body),
        node("Identity", ["sizes_hw"], ["scores"]),
        node("Identity", ["sizes_hw"], ["classes"]),
        node("Identity", ["images"], ["unused"]),
    ]


def test_a_loop_without_an_end_is_ended(tmp_path):
    path = onnx_with(endless, INPUT_NAMES, tmp_path)
    session = OnnxRuntimeSession(path, "cpu")
    blank = {
        "images": np.zeros((1, 3, 8, 8), np.uint8),
        "sizes_hw": np.zeros((1, 2), np.float32),
        "parts_xyxy": np.zeros((1, 4), np.float32),
    }
    start = time.monotonic()
    with pytest.raises(Exception, match="terminate"):
        session.run(blank, seconds=0.5)
    assert time.monotonic() - start < 20


def test_other_inputs_are_refused(tmp_path):
    def same(helper):
        return [helper.make_node("Identity", ["picture"], [name]) for name in OUTPUT_NAMES]

    path = onnx_with(same, ["picture"], tmp_path)
    with pytest.raises(UserError, match=r"refuses \(its inputs are \['picture'\]"):
        OnnxRuntimeSession(path, "cpu")
