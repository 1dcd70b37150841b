"""Where the time of a training step goes, forward and backward, by the parts of the paper's Fig. 1.

Autograd runs backward through the parts in the reverse of their order, so that the gradient of a
part's output tells when its backward pass begins. What an outer part does between two inner ones is
told of the inner one that comes before it in the backward pass; that is little.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks.machine_peak import synchronize

REST = "rest"


class StepTimes:
    """Measures each part's own time in the steps of a training.

    Attributes:
        seconds: by part, added up over all that was measured.
    """

    def __init__(
        self, parts: Mapping[str, Sequence[nn.Module]], device: torch.device | str = "cpu"
    ) -> None:
        """
        Args:
            parts: the outermost modules of each, as `modules_of_parts` gives them.
            device: of the model; on a GPU every part is waited for.
        """
        self.seconds: Counter[str] = Counter(dict.fromkeys((*parts, "optimizer", REST), 0.0))
        self._names: dict[nn.Module, str] = {}
        for name, modules in parts.items():
            for module in modules:
                self._names.setdefault(module, name)
        self._device = torch.device(device)
        self._stack = [REST]
        self._since = 0.0

    def begin(self, name: str) -> None:
        """Ends whatever runs now, and begins something.

        Args:
            name: of a part, "optimizer" or "rest".
        """
        self._switch()
        self._stack = [name]

    @contextmanager
    def measure(self) -> Iterator[None]:
        """A context in which steps are measured."""
        handles = [module.register_forward_pre_hook(self._enter) for module in self._names]
        handles += [module.register_forward_hook(self._leave) for module in self._names]
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self.begin(REST)
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, inputs: tuple) -> None:
        self._switch()
        self._stack.append(self._names[module])

    def _leave(self, module: nn.Module, inputs: tuple, output: object) -> None:
        self._switch()
        self._stack.pop()
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, name=self._names[module]: self.begin(name))

    def _switch(self) -> None:
        synchronize(self._device)
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def _tensors(output: object) -> list[Tensor]:
    """Those in lists, tuples and dicts; boxes of proposals carry no gradient."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for one in output for tensor in _tensors(one)]
    return []
