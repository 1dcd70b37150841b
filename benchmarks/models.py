"""Models with random weights and their inputs, for time only, and where their time goes.

Parts of a model are those of the paper's Fig. 1. They lie inside one another (the whole, the lead
ResNet, its stem): what is told of each is its own time, without that of the parts inside.
"""

import copy
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from detectron2.config import instantiate
from detectron2.layers import ROIAlign
from detectron2.modeling.proposal_generator import RPN
from torch import Tensor, nn

from acnet.config import load_config
from acnet.modeling import BestFirstRPN, CompositeResNet, MaskAwareMultiAttention
from benchmarks.common import GIGA, machine_state, report, synchronize
from projects.ACNet.analyze_model import OneImage

STAGES = ("res2", "res3", "res4")
REST = "rest"


def modules_of_parts(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Name the outermost modules that compute each part of an ACNet, in the order of the data.

    Whoever is named first has what two parts share.
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


PROPOSALS = 300


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


def macs_of_parts(name: str, size: int, *, training: bool = False) -> dict[str, int]:
    """Return multiply-accumulates of a config's model by the same parts, for one image.

    Args:
        name: of the config.
        size: side of the image in pixels, divisible by 16.
        training: with the number of boxes of a training, count the backward pass too. It costs as
            much again for the gradient of the weights, and as much for that of the input; frozen
            layers need less, and those with nothing to train before them least.
    """
    cfg = load_config(name)
    with torch.device("meta"):
        model = instantiate(cfg.model).eval()
    boxes = cfg.model.roi_heads.batch_size_per_image if training else PROPOSALS
    owner: dict[nn.Module, str] = {}
    # Inner parts first: a layer belongs to the smallest part that holds it.
    parts = modules_of_parts(model)
    by_size = sorted(
        ((module, part) for part, modules in parts.items() for module in modules),
        key=lambda pair: sum(1 for _ in pair[0].modules()),
    )
    for module, part in by_size:
        for layer in module.modules():
            owner.setdefault(layer, part)
    macs = Counter(dict.fromkeys(parts, 0))

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each output number is a dot product with the weights of its channel.
        gradients = layer.weight.requires_grad + inputs[0].requires_grad if training else 0
        macs[owner[layer]] += output.numel() * layer.weight[0].numel() * (1 + gradients)

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.set_grad_enabled(training):
        OneImage(model, boxes)(torch.empty(1, 3, size, size, device=model.device))
    return dict(macs)


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


SEED = 0


def build(name: str, device: torch.device, inputs: list[dict]) -> nn.Module:
    """Returns a config's model with random weights, in evaluation mode.

    Its normalisations fit the picture, as after a training: with those of a new model ResNet-101's
    maps grow to millions, boxes to the whole picture, and of 300 proposals one is left.

    Args:
        name: of the config.
        device: where it goes.
        inputs: as detectron2's models take them.
    """
    torch.manual_seed(SEED)
    cfg = load_config(name)
    cfg.train.channels_last = False
    model = instantiate(cfg.model).eval().to(device)

    def fit(norm: nn.Module, arguments: tuple[torch.Tensor]) -> None:
        norm.running_mean.copy_(arguments[0].mean(dim=(0, 2, 3)))
        norm.running_var.copy_(arguments[0].var(dim=(0, 2, 3)).clamp(min=1e-3))

    norms = [module for module in model.modules() if hasattr(module, "running_var")]
    handles = [norm.register_forward_pre_hook(fit) for norm in norms]
    with torch.no_grad():
        model(inputs[:1])
    for handle in handles:
        handle.remove()
    return model


def plain(model: nn.Module, name: str) -> nn.Module:
    """Return a copy of a config's model with detectron2's own parts where ours are faster."""
    copied = copy.deepcopy(model)
    if type(model.proposal_generator) is BestFirstRPN:
        cfg = load_config(name)
        cfg.model.proposal_generator._target_ = RPN
        rpn = instantiate(cfg.model.proposal_generator).to(model.device).train(model.training)
        rpn.load_state_dict(model.proposal_generator.state_dict())
        copied.proposal_generator = rpn
    pooler = getattr(copied.roi_heads, "pooler", None) or copied.roi_heads.box_pooler
    (level,) = pooler.level_poolers
    pooler.level_poolers[0] = ROIAlign(
        level.output_size, level.spatial_scale, level.sampling_ratio, level.aligned
    )
    return copied


def in_channels_last(model: nn.Module) -> nn.Module:
    """Returns a copy of a model that works in channels_last."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    model.channels_last = True
    return model


def compare(
    medians: Mapping[str, float], macs: Mapping[str, Mapping[str, int]], *, name: str, baseline: str
) -> dict[str, object]:
    """Sets a model's time over its baseline's against their arithmetic.

    Args:
        medians: seconds by side, "ours" and "baseline" among them.
        macs: multiply-accumulates by part, for both configs.
        name: of the model's config.
        baseline: of the baseline's config.

    Returns:
        `over_macs`, what it is made of, and the seconds of all sides.
    """
    gmacs = {config: sum(parts.values()) / GIGA for config, parts in macs.items()}
    macs_ratio = gmacs[name] / gmacs[baseline]
    times_ratio = medians["ours"] / medians["baseline"]
    return {
        "times_ratio": round(times_ratio, 3),
        "macs_ratio": round(macs_ratio, 3),
        "over_macs": round(times_ratio / macs_ratio, 3),
        "seconds": {side: round(value, 4) for side, value in medians.items()},
        "gmacs": {config: round(value, 1) for config, value in gmacs.items()},
    }


def show(name: str, result: Mapping) -> None:
    """Writes a table of the parts, before and after, to standard error.

    Args:
        name: of the config.
        result: of its measurement.
    """
    sys.stderr.write(
        f"{name}: {result['seconds']}, over_macs {result['over_macs']}, "
        f"peak {result['peak_gmacs_a_second']} GMACs/s\n"
    )
    for part, row in result["after"].items():
        old = result["before"][part]
        sys.stderr.write(
            f"  {part:18} {row['gmacs']:8.2f} GMACs {old['ms']:9.1f} ms {old['fraction']:6.2f}"
            f"  -> {row['ms']:9.1f} ms {row['fraction']:6.2f}\n"
        )


def report_models(benchmark: str, results: Mapping[str, Mapping], **settings: object) -> None:
    """Writes the line of JSON of a benchmark of models; its ratio is the smallest of theirs.

    Args:
        benchmark: its name.
        results: by config.
        settings: of the benchmark.
    """
    slowest = min(results.values(), key=lambda one: one["ratio"])
    report(
        {
            "name": benchmark,
            "ratio": slowest["ratio"],
            "ours": slowest["seconds"]["ours"],
            "peer": slowest["seconds"]["peer"],
            **settings,
            "machine": machine_state(),
            "models": results,
        }
    )
