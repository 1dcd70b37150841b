"""Programs of `torch.export`."""

from pathlib import Path

import torch
import torchvision  # noqa: F401 - brings the operators that programs call
from torch import Tensor
from torch.export.passes import move_to_device_pass

from acnet.engine.precision import Precision
from acnet.errors import UserError

DTYPES = {"float32": None, "bfloat16": torch.bfloat16}
_CPU = torch.device("cpu")


class TorchExportSession:
    """A `Session` of torch's own."""

    def __init__(self, path: Path, device: torch.device, precision: str, *, trusted: bool):
        """
        Args:
            path: of the .pt2 file.
            device: any of torch's.
            precision: that the file was exported in.
            trusted: whether the user trusts the file. `torch.export.load` unpickles objects and
                evaluates expressions of the file, so a made-up one can run any code.

        Raises:
            UserError: the file is not trusted, or cannot be loaded.
        """
        if not trusted:
            raise UserError(
                "A .pt2 file can run any code while torch loads it, so it is loaded only where it "
                f"is trusted. Received {path}; add --trust-file if you exported it yourself or "
                "know who did, or use an .onnx file, which holds no code."
            )
        self.name = f"torch-export {torch.__version__}"
        self.device = device
        self.precision = Precision(device.type, DTYPES[precision])
        self._program = _load(path, device)

    def run(self, images: Tensor, sizes_hw: Tensor, parts_xyxy: Tensor) -> tuple[Tensor, ...]:
        """Same as `Session.run`."""
        arguments = (one.to(self.device) for one in (images, sizes_hw, parts_xyxy))
        with torch.inference_mode():
            return tuple(output.to(_CPU) for output in self._program(*arguments))


def _load(path: Path, device: torch.device) -> torch.nn.Module:
    try:
        program = torch.export.load(path)
    # A damaged archive, or one of another version of torch, can raise anything.
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"torch {torch.__version__} loads what `acnet export` wrote with a version near it. "
            f"Received {path}, which it refuses ({type(error).__name__}: {reason}); export it "
            "again with the versions that are installed here."
        ) from error
    if device.type != "cpu":
        program = move_to_device_pass(program, str(device))
    return program.module()
