"""ONNX files in OpenVINO, on Intel's and other CPUs."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from acnet.engine.precision import Precision
from acnet.errors import UserError
from acnet.export.program import INPUT_NAMES, OUTPUT_NAMES

if TYPE_CHECKING:
    import openvino

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
DTYPES = {"float32": None, "bfloat16": torch.bfloat16}


class OpenVinoSession:
    """A `Session` of OpenVINO."""

    def __init__(self, path: Path, device: torch.device, precision: str):
        """
        Args:
            path: of the .onnx file.
            device: a CPU.
            precision: "float32" or "bfloat16". Left to itself, OpenVINO takes bfloat16 on a CPU
                that has it.

        Raises:
            UserError: another device is asked for, or the file cannot be loaded.
        """
        import openvino

        if device.type != "cpu":
            raise UserError(
                "OpenVINO is used here on CPUs. "
                f"Received --device {device}; use --device cpu, or another engine."
            )
        self.name = f"openvino {openvino.__version__}"
        self.device = device
        self.precision = Precision(device.type, DTYPES[precision])
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._model = _load(path, settings)

    def run(self, images: Tensor, sizes_hw: Tensor, parts_xyxy: Tensor) -> tuple[Tensor, ...]:
        """Same as `Session.run`."""
        arrays = [tensor.numpy() for tensor in (images, sizes_hw, parts_xyxy)]
        outputs = self._model(dict(zip(INPUT_NAMES, arrays, strict=True)))
        return tuple(torch.from_numpy(outputs[name].copy()) for name in OUTPUT_NAMES)


def _load(path: Path, settings: dict) -> "openvino.CompiledModel":
    import openvino

    try:
        core = openvino.Core()
        return core.compile_model(core.read_model(path), "CPU", settings)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"OpenVINO {openvino.__version__} loads what `acnet export` wrote. Received {path}, "
            f"which it refuses ({reason}); use --engine onnxruntime."
        ) from error
