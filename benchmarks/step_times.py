"""Where the time of a training step goes, forward and backward, by the parts of the paper's Fig. 1.

Autograd runs backward through the parts in the reverse of their order, so that the gradient of a
part's output tells when its backward pass begins. What an outer part does between two inner ones is
told of the inner one that comes before it in the backward pass; that is little.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from benchmarks.part_times import PartTimes


class StepTimes(PartTimes):
    """Measures each part's own time in the steps of a training; "optimizer" is a part as well."""

    def _leave(self, module: nn.Module, inputs: tuple, output: object) -> None:
        super()._leave(module, inputs, output)
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, name=self._names[module]: self.begin(name))


def _tensors(output: object) -> list[Tensor]:
    """Those in lists, tuples and dicts; boxes of proposals carry no gradient."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [tensor for one in output for tensor in _tensors(one)]
    return []
