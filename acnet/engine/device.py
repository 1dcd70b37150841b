"""The one place that decides which device a run uses."""

import torch

from acnet.errors import UserError


def resolve_device(name: str) -> torch.device:
    """Turn the config's `train.device` into a device of this process.

    Args:
        name: "auto" (a GPU where there is one, else the CPU), or a name that torch knows. Which
            GPU a process uses among several is set by the launcher, not here.

    Returns:
        The device.

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
