"""CUDA graphs: kernels that are recorded once and replayed, without a launch from Python for each.

Two ResNets and their connections ask a GPU for a thousand kernels, most of which take less time
than their launch. What is recorded is what follows from the shape of the pictures alone: backbone,
neck, attention, RPN head and, in training, the box head. A shape is recorded when it comes for the
second time, so pictures of ever new sizes cost nothing more, and take no place.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads import FastRCNNConvFCHead
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from acnet.modeling.own_cells import SizesHW, has_mark

logger = logging.getLogger(__name__)

MOST_SHAPES = 6  # the memory of each recording stays taken
MOST_MET = 64  # shapes of which it is known that they came once
WARM_UPS = 3  # before a recording: libraries choose their kernels and take their memory
# The loader's thread pins memory meanwhile, which must not end a recording (torch 2.14 and later).
_BESIDE_OTHER_THREADS = (
    {"capture_error_mode": "thread_local"}
    if "capture_error_mode" in inspect.signature(torch.cuda.make_graphed_callables).parameters
    else {}
)
_HEADS = (StandardRPNHead, FastRCNNConvFCHead, nn.Sequential)  # the last is res5


def replay_in_prediction(module: nn.Module) -> None:
    """Let a module replay its kernels where no gradient is wanted and its maps are on a GPU.

    Args:
        module: a backbone or an RPN head, in evaluation mode, with weights that do not change any
            more; its answer depends on its maps alone.
    """
    _let_replay(module, "forward", _Prediction)


def replay_in_training(model: nn.Module) -> None:
    """Let backbone and heads of a detector replay their forward and backward kernels.

    Losses and gradients are those of the same kernels. The gradients of a replay lie in memory that
    the next replay writes, so each step must have one: no accumulation.

    Args:
        model: a `GeneralizedRCNN`, on its device.
    """
    # Of a backbone with losses, what depends on the pictures alone.
    name = "attended" if has_mark(model.backbone, "gives_losses") else "forward"
    _let_replay(model.backbone, name, _Training)
    rpn, heads = (getattr(model, one, None) for one in ("proposal_generator", "roi_heads"))
    of_boxes = getattr(heads, "res5", getattr(heads, "box_head", None))  # as many boxes each step
    for head in (getattr(rpn, "rpn_head", None), of_boxes):
        if isinstance(head, _HEADS):
            _let_replay(head, "forward", _Training)


def _let_replay(module: nn.Module, name: str, kind: type) -> None:
    plain = functools.partial(getattr(type(module), name), module)
    setattr(module, name, functools.partial(_replay, plain, module, _Recordings(kind)))


def _replay(
    plain: Callable,
    module: nn.Module,
    recordings: "_Recordings",
    maps: Any,
    sizes_hw: SizesHW = None,
) -> Any:
    """A method of the module's class, replayed where it can be."""
    arguments = (maps,) if sizes_hw is None else (maps, sizes_hw)
    if not recordings.kind.fits(module) or not _are_whole(maps, sizes_hw):
        return plain(*arguments)
    recording = recordings.of(maps, plain, module)
    return plain(*arguments) if recording is None else recording(maps)


def _are_whole(maps: Any, sizes_hw: SizesHW) -> bool:
    """Whether maps are on a GPU and no picture is padded, which a recording would keep as it is."""
    first, *_ = tree_flatten(maps)[0]
    if not first.is_cuda or torch.compiler.is_compiling():
        return False
    if sizes_hw is None:
        return True
    return not isinstance(sizes_hw, Tensor) and all(
        tuple(size) == tuple(first.shape[-2:]) for size in sizes_hw
    )


class _Recordings:
    """What was recorded of a module, by all that decides which kernels run."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self._made: dict[tuple, Callable] = {}
        self._met: dict[tuple, None] = {}  # once, the latest last

    def __deepcopy__(self, memo: dict) -> "_Recordings":
        return _Recordings(self.kind)  # a copy has other weights

    def of(self, maps: Any, plain: Callable, module: nn.Module) -> Callable | None:
        """Return the recording for maps like these; None when they are met for the first time."""
        key = _kernels(maps)
        if key in self._made or len(self._made) == MOST_SHAPES:
            return self._made.get(key)
        if key not in self._met:
            self._met[key] = None
            if len(self._met) > MOST_MET:
                del self._met[next(iter(self._met))]
            return None
        tensors = tree_flatten(maps)[0]
        shapes = [tuple(one.shape) for one in tensors]
        logger.debug("recording a CUDA graph of %s for %s", type(module).__name__, shapes)
        with _recorded_alone(tensors[0].device):
            self._made[key] = self.kind(maps, plain, module)
        return self._made[key]


def _kernels(maps: Any) -> tuple:
    tensors = tree_flatten(maps)[0]
    kind = tensors[0].device.type
    return (
        tensors[0].device,
        *((tuple(one.shape), one.stride(), one.dtype) for one in tensors),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
    )


@contextmanager
def _recorded_alone(device: torch.device) -> Iterator[None]:
    """Let autocast keep no weights beside a recording, and cuDNN try which kernels are fastest."""
    on_device = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    keeps, tries = torch.is_autocast_cache_enabled(), torch.backends.cudnn.benchmark
    torch.set_autocast_cache_enabled(False)
    torch.backends.cudnn.benchmark = True
    try:
        with on_device:  # streams are those of the current one
            yield
    finally:
        torch.set_autocast_cache_enabled(keeps)
        torch.backends.cudnn.benchmark = tries


class _Prediction:
    """A graph of the forward pass, with its own input; each replay's maps are copied."""

    def __init__(self, maps: Any, plain: Callable, module: nn.Module) -> None:
        self._maps = tree_map(torch.clone, maps)
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                plain(self._maps)
        here.wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._found = plain(self._maps)

    @staticmethod
    def fits(module: nn.Module) -> bool:
        return not torch.is_grad_enabled()

    def __call__(self, maps: Any) -> Any:
        for own, one in zip(tree_flatten(self._maps)[0], tree_flatten(maps)[0], strict=True):
            own.copy_(one)
        self._graph.replay()
        return tree_map(torch.clone, self._found)


class _Training:
    """Graphs of the forward and the backward pass; BN counts no recording as a step."""

    def __init__(self, maps: Any, plain: Callable, module: nn.Module) -> None:
        kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
        like = tree_map(lambda one: one.detach().clone().requires_grad_(one.requires_grad), maps)
        self._graphed = torch.cuda.make_graphed_callables(
            _OfOne(module, plain), (like,), allow_unused_input=True, **_BESIDE_OTHER_THREADS
        )
        for name, buffer in module.named_buffers():
            buffer.copy_(kept[name])

    @staticmethod
    def fits(module: nn.Module) -> bool:
        return module.training and torch.is_grad_enabled()

    def __call__(self, maps: Any) -> Any:
        return self._graphed(maps)


class _OfOne(nn.Module):
    """A module of one argument, as `make_graphed_callables` takes it."""

    def __init__(self, module: nn.Module, plain: Callable) -> None:
        super().__init__()
        self._module, self._plain = module, plain

    def forward(self, maps: Any) -> Any:
        return self._plain(maps)
