"""ONNX files in ONNX Runtime, which is imported when a session is made."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acnet.engine.precision import Precision
from acnet.errors import UserError
from acnet.export.engine_names import ENGINES
from acnet.export.program import INPUT_NAMES, OUTPUT_NAMES

_CPU = "CPUExecutionProvider"
ERRORS_ONLY = 3  # ONNX Runtime's level


class OnnxRuntimeSession:
    """A `Session` of ONNX Runtime, with as many threads as torch has. It sends nothing anywhere."""

    def __init__(self, path: Path, device: torch.device):
        """
        Args:
            path: of the .onnx file.
            device: a CPU, or a GPU where the installed ONNX Runtime has CUDA.

        Raises:
            UserError: the device is none of these, or the file cannot be loaded.
        """
        onnxruntime = ENGINES["onnxruntime"].import_package()
        onnxruntime.disable_telemetry_events()  # where a program has imported it before us
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.device = device
        self.precision = Precision(device.type, None)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = ERRORS_ONLY
        providers = _providers(device, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        # Its errors have no class in common but this one.
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"ONNX Runtime loads what `acnet export` wrote. Received {path}, which it refuses "
                f"({reason}); export it again with the versions that are installed here."
            ) from error

    def run(self, images: Tensor, sizes_hw: Tensor, parts_xyxy: Tensor) -> tuple[Tensor, ...]:
        """Same as `Session.run`."""
        arrays = [tensor.numpy() for tensor in (images, sizes_hw, parts_xyxy)]
        outputs = self._session.run(OUTPUT_NAMES, dict(zip(INPUT_NAMES, arrays, strict=True)))
        return tuple(torch.from_numpy(output) for output in outputs)


def _providers(device: torch.device, available: list[str]) -> list[Any]:
    provider = f"{device.type.upper()}ExecutionProvider"
    if provider not in available:
        raise UserError(
            "ONNX Runtime computes on what its package was built for, here "
            f"{', '.join(available)}. Received --device {device}; use --device cpu, or install "
            "onnxruntime-gpu."
        )
    if provider == _CPU:
        return [_CPU]
    return [(provider, {"device_id": device.index or 0}), _CPU]
