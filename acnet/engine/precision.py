"""Which device a run uses, and which numbers its forward pass computes with.

The numbers are fp32, or float16 or bfloat16 under autocast.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from acnet.errors import UserError

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def resolve_device(name: str) -> torch.device:
    """Turn the config's `train.device` into a device of this process.

    Args:
        name: "auto" (a GPU where there is one, else the CPU), or a name that torch knows. Which
            GPU a process uses among several is set by the launcher, not here.

    Raises:
        UserError: CUDA is asked for where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "A device must exist to be used, and torch sees no CUDA GPU here. "
            f"Received train.device={name}. Set train.device=auto, or install torch for CUDA."
        )
    return device


@dataclass(frozen=True)
class Precision:
    """A device type and the dtype that autocast uses there, or None for plain fp32."""

    device_type: str
    dtype: torch.dtype | None

    def autocast(self) -> AbstractContextManager:
        """Give a fresh autocast context, which does nothing for fp32."""
        return torch.autocast(self.device_type, dtype=self.dtype, enabled=self.dtype is not None)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """Give a gradient scaler, which does nothing unless the dtype is float16."""
        # bfloat16 has the exponent of float32, so its gradients do not underflow.
        return torch.amp.GradScaler(self.device_type, enabled=self.dtype == torch.float16)


def choose_precision(amp: Any, device: torch.device) -> Precision:
    """Read the config's `train.amp` for a device.

    Args:
        amp: has `enabled` (False, True or "auto": on every GPU, and on a CPU that computes
            bfloat16 natively) and `dtype` ("float16", "bfloat16" or "auto": bfloat16 where the
            device supports it, else float16).
        device: where the model is.

    Raises:
        UserError: a value is unknown, or float16 is asked for on a CPU.
    """
    if amp.enabled not in (False, True, "auto"):
        raise UserError(
            f"train.amp.enabled must be true, false or auto. Received {amp.enabled!r}. "
            "Set train.amp.enabled=auto."
        )
    is_fast = device.type != "cpu" or cpu_has_bfloat16()
    if not (is_fast if amp.enabled == "auto" else amp.enabled):
        return Precision(device.type, None)
    dtype = _best_dtype(device) if amp.dtype == "auto" else _DTYPES.get(amp.dtype)
    if dtype is None:
        raise UserError(
            f"train.amp.dtype must be one of auto, {', '.join(_DTYPES)}. Received {amp.dtype!r}. "
            "Set train.amp.dtype=auto."
        )
    if device.type == "cpu" and dtype == torch.float16:
        raise UserError(
            "Training in float16 needs a GPU: CPUs compute it slowly, and it overflows where "
            f"bfloat16 does not. Received train.amp.dtype={amp.dtype} on a CPU. "
            "Set train.amp.dtype=auto or train.amp.enabled=false."
        )
    return Precision(device.type, dtype)


def _best_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def cpu_has_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX), as far as known.

    Without native support, bfloat16 on a CPU is emulated and slower than fp32.
    """
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check)() for check in checks if hasattr(torch.cpu, check))
