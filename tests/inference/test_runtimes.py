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
    kinds = {"images": onnx.TensorProto.UINT8}
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes(onnx.helper),
            "hostile",
            [
                onnx.helper.make_tensor_value_info(
                    name, kinds.get(name, onnx.TensorProto.FLOAT), None
                )
                for name in inputs
            ],
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
                for name in OUTPUT_NAMES
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    return path


def endless(helper):
    """A loop whose condition is always true, for 2^62 turns."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("value", 1, None),
        ],
        [
            helper.make_tensor_value_info("go_on", 9, []),
            helper.make_tensor_value_info("next", 1, None),
        ],
    )
    return [
        helper.make_node("Constant", [], ["most"], value_int=2**62),
        helper.make_node("Loop", ["most", "", "parts_xyxy"], ["boxes"], body=body),
        helper.make_node("Identity", ["sizes_hw"], ["scores"]),
        helper.make_node("Identity", ["sizes_hw"], ["classes"]),
        helper.make_node("Identity", ["images"], ["unused"]),
    ]


def test_a_loop_without_an_end_is_ended(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")
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
    pytest.importorskip("onnxruntime", reason="needs the extra [export]")

    def same(helper):
        return [helper.make_node("Identity", ["picture"], [name]) for name in OUTPUT_NAMES]

    path = onnx_with(same, ["picture"], tmp_path)
    with pytest.raises(UserError, match=r"refuses \(its inputs are \['picture'\]"):
        OnnxRuntimeSession(path, "cpu")
