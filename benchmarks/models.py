"""Where a detector's time goes, by the parts of the paper's Fig. 1.

Parts lie inside one another (the whole, the lead ResNet, its stem): what is told of each is its own
time, without that of the parts inside.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from acnet.modeling import CompositeResNet, MaskAwareMultiAttention
from acnet.modeling.complexity import count_macs_by_layer
from benchmarks.machine_peak import GIGA, synchronize

STAGES = ("res2", "res3", "res4")
REST = "rest"


def modules_of_parts(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Names the modules that are called, by part, in the order of the data.

    Args:
        model: an ACNet, or one of its ablations.

    Returns:
        For each part the outermost modules that compute it. Whoever is named first has what two
        parts share.
    """
    attention = model.backbone
    merged = attention.bottom_up
    levels = merged.bottom_up
    parts: dict[str, list[nn.Module]] = {}
    if isinstance(levels, CompositeResNet):
        parts["stem"] = [levels.lead.stem, levels.assistant.stem]
        parts["lead"] = [getattr(levels.lead, stage) for stage in STAGES]
        parts["assistant"] = [getattr(levels.assistant, stage) for stage in STAGES]
    else:
        resnet = getattr(levels, "bottom_up", levels)
        parts["stem"] = [resnet.stem]
        parts["lead"] = [getattr(resnet, stage) for stage in STAGES]
    parts["connections"] = [*getattr(levels, "connections", {}).values(), levels]
    parts["DCE: resizing"] = [merged]
    parts["DCE: fusion"] = list(merged.enhance.values())
    if isinstance(attention, MaskAwareMultiAttention):
        parts["MAMA: inception"] = [attention.inception]
        parts["MAMA: attention"] = [attention]
    else:
        parts["projection"] = [attention]
    parts["RPN: head"] = [model.proposal_generator.rpn_head]
    parts["RPN: proposals"] = [model.proposal_generator]
    heads = model.roi_heads
    parts["ROI: pooling"] = [heads.pooler if hasattr(heads, "res5") else heads.box_pooler]
    parts["ROI: heads"] = [heads]
    return {name: modules for name, modules in parts.items() if modules}


class PartTimes:
    """Measures each part's own time while a model runs.

    Example:
        times = PartTimes(modules_of_parts(model), device)
        with times.measure():
            model(inputs)
        times.seconds  # {"stem": 0.01, ..., "rest": 0.002}

    Attributes:
        seconds: by part, added up over all that was measured.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[nn.Module]],
        device: torch.device | str = "cpu",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            parts: as `modules_of_parts` gives them; what runs in none of them is the "rest".
            device: of the model; on a GPU every part is waited for.
            clock: gives seconds.
        """
        self.seconds: Counter[str] = Counter(dict.fromkeys((*parts, REST), 0.0))
        self._names: dict[nn.Module, str] = {}
        for name, modules in parts.items():
            for module in modules:
                self._names.setdefault(module, name)
        self._device = torch.device(device)
        self._clock = clock
        self._stack = [REST]
        self._since = 0.0

    @contextmanager
    def measure(self) -> Iterator[None]:
        """A context in which passes are measured."""
        handles = [module.register_forward_pre_hook(self._enter) for module in self._names]
        handles += [module.register_forward_hook(self._leave) for module in self._names]
        self._since = self._clock()
        try:
            yield
        finally:
            self.begin(REST)
            for handle in handles:
                handle.remove()

    def begin(self, name: str) -> None:
        """Ends whatever runs now, and begins something.

        Args:
            name: of a part, or "rest".
        """
        self._switch()
        self._stack = [name]

    def _enter(self, module: nn.Module, inputs: tuple) -> None:
        self._switch()
        self._stack.append(self._names[module])

    def _leave(self, module: nn.Module, inputs: tuple, output: object) -> None:
        self._switch()
        self._stack.pop()

    def _switch(self) -> None:
        synchronize(self._device)
        now = self._clock()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def macs_of_parts(
    model: nn.Module, *, image_hw: tuple[int, int], num_proposals: int, training: bool = False
) -> dict[str, int]:
    """Returns multiply-accumulates by the same parts.

    Args:
        model: on torch's meta device, as for `acnet.modeling.complexity.count_complexity`.
        image_hw: height and width in pixels, divisible by 16.
        num_proposals: boxes that reach the ROI heads.
        training: count the backward pass too.
    """
    macs = count_macs_by_layer(model, image_hw, num_proposals, training=training)
    parts = modules_of_parts(model)
    owner: dict[nn.Module, str] = {}
    # Inner parts first: a layer belongs to the smallest part that holds it.
    by_size = sorted(
        ((module, name) for name, modules in parts.items() for module in modules),
        key=lambda pair: sum(1 for _ in pair[0].modules()),
    )
    for module, name in by_size:
        for layer in module.modules():
            owner.setdefault(layer, name)
    totals: defaultdict[str, int] = defaultdict(int, dict.fromkeys(parts, 0))
    for layer, count in macs.items():
        totals[owner[layer]] += count
    return dict(totals)


def fractions_of_peak(
    seconds: Mapping[str, float], macs: Mapping[str, int], peak_gmacs_a_second: float
) -> dict[str, dict[str, float]]:
    """Sets what each part took against what its arithmetic takes at the matrix peak.

    Args:
        seconds: by part, for one pass.
        macs: by part, for one pass; a part that is missing multiplies nothing.
        peak_gmacs_a_second: of `matrix_peak`, in the same run.

    Returns:
        For each part, and for "all", `ms`, `gmacs` and `fraction` (of the peak, 0 to 1).
    """
    rows = {name: (value, macs.get(name, 0)) for name, value in seconds.items()}
    rows["all"] = (sum(seconds.values()), sum(macs.values()))
    return {
        name: {
            "ms": round(1000 * spent, 2),
            "gmacs": round(count / GIGA, 3),
            "fraction": round(count / GIGA / peak_gmacs_a_second / spent, 3) if spent else 0.0,
        }
        for name, (spent, count) in rows.items()
    }
