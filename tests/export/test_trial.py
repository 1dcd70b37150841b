"""Exported files from anybody: looked through, then run once where they can be ended."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from acnet.errors import UserError
from acnet.export import trial
from acnet.inference.predictor import load
from acnet.inference.trained_model import load_model

onnx = pytest.importorskip("onnx", reason="needs the extra [export]")


def bomb(graph, operator: str, side: int) -> None:
    """Add what is computed while the file is loaded, from a few bytes."""
    shape = onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [4], [1, 1, side, side])
    one = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    graph.initializer.extend([shape, one])
    nodes = [("Expand", ["one", "shape"], ["big"]), (operator, ["big", "big"], ["bigger"])]
    nodes.append(("ReduceSum", ["bigger"], ["sum"]))
    for name, inputs, outputs in nodes:
        graph.node.append(onnx.helper.make_node(name, inputs, outputs))
    graph.output.append(onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, None))


def damaged(model) -> None:
    model.graph.node[5].input[0] = "none"


def branch_in_loop(model) -> None:
    (loop,) = [node for node in model.graph.node if node.op_type == "Loop"]
    (body,) = [one.g for one in loop.attribute if one.name == "body"]
    body.node.append(loop)


def functions(model) -> None:
    """Each calls the one before twice, as in a bomb of aliases."""
    opset = [onnx.helper.make_opsetid("", 18)]
    twice = [onnx.helper.make_node("Identity", ["x"], ["y"])]
    model.functions.append(onnx.helper.make_function("own", "f", ["x"], ["y"], twice, opset))


def numbers_elsewhere(model) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def absurd_numbers(model) -> None:
    model.graph.initializer[0].dims[:] = [2**40, 2**20]


def node_with(field: str, value: str) -> Callable:
    return lambda model: setattr(model.graph.node[0], field, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (node_with("op_type", "RandomNormalLike"), "has the operator 'RandomNormalLike'"),
        (node_with("domain", "com.microsoft"), r"has the operator 'com\.microsoft'"),
        (branch_in_loop, "a loop in a loop"),
        (functions, "functions of its own"),
        (numbers_elsewhere, "numbers in another file"),
        (lambda model: model.graph.sparse_initializer.add(), "numbers in another file or form"),
        (damaged, r"onnxruntime loads what .* export it again"),
        (absurd_numbers, "onnxruntime loads what"),
        (lambda model: bomb(model.graph, "Add", 300_000), "onnxruntime loads what"),  # memory
        (lambda model: bomb(model.graph, "MatMul", 12_000), "no answer within 5 seconds"),
    ],
)
def test_hostile_files_are_refused_in_one_line_and_in_time(
    change, message, exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(trial, "SECONDS", 4.0)
    model = onnx.load(exported())
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    start = time.monotonic()
    with pytest.raises(UserError, match=message) as error:
        load(path, device="cpu")
    assert time.monotonic() - start < 20
    assert "\n" not in str(error.value)
    assert "Traceback" not in str(error.value)


def test_a_file_that_ends_the_process_ends_another_one(exported, monkeypatch):
    monkeypatch.setattr(trial, "_PROGRAM", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(UserError, match=r"refuses \(it ended the process by signal 11\)"):
        load_model(exported())


def test_modules_of_the_current_folder_are_not_imported(exported, tmp_path, repo_root):
    for name in ("numpy", "onnxruntime", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    code = (
        "import sys; sys.path[0] = sys.argv[2];"
        "from pathlib import Path; from acnet.export.trial import fault_of;"
        "sys.exit(fault_of(Path(sys.argv[1]), 'onnxruntime'))"
    )
    subprocess.run([sys.executable, "-c", code, exported(), repo_root], cwd=tmp_path, check=True)
