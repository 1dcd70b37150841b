"""Counts what a GPU would be kept busy and waiting with, on any machine."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# The host reads a value, or a size that depends on values.
WAITS = {
    "aten._local_scalar_dense",
    "aten.equal",
    "aten.is_nonzero",
    "aten.masked_select",
    "aten.nonzero",
    "aten.unique_consecutive",
    "aten._unique2",
    "torchvision.nms",
}
VIEWS = {"aten.detach", "aten.view", "aten.alias"}  # no kernel on any device


class Operators(TorchDispatchMode):
    """Counts the operators that torch dispatches, and those for whose values the host waits.

    Attributes:
        count: of operators that do something.
        waits: by name; indexing by a mask is one, as its size depends on values.
    """

    def __init__(self):
        super().__init__()
        self.count, self.waits = 0, Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).rpartition(".")[0]
        self.count += name not in VIEWS
        if name in WAITS or (name in ("aten.index", "aten.index_put_") and _has_mask(args[1])):
            self.waits[name] += 1
        return function(*args, **(kwargs or {}))


def _has_mask(indices) -> bool:
    return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in indices)
