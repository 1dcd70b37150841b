"""Writing a program as ONNX, with its texts."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from acnet.export.program import INPUT_NAMES, OUTPUT_NAMES
from acnet.files import atomic_write

OPSET = 18  # below 16, RoIAlign is half a pixel off


def write_onnx(path: Path, program: ExportedProgram, texts: Mapping[str, str]) -> None:
    """Write an ONNX file, whole or not at all.

    Args:
        path: of the file.
        program: of `to_program`, of a detector with `onnx_nms`.
        texts: by name.
    """
    with _quiet():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUT_NAMES),
            output_names=list(OUTPUT_NAMES),
            verbose=False,
        )
    model = converted.model
    _forget_sources(model)
    model.metadata_props.clear()
    model.metadata_props.update(texts)
    with atomic_write(path) as temporary:
        converted.save(temporary)


def _forget_sources(model: Any) -> None:
    """Remove what the nodes tell of the Python code that made them, with this machine's folders."""
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter tells its own developers."""
    names = ("onnxscript", "onnx_ir", "torch.onnx")
    loggers = [logging.getLogger(name) for name in names]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
