"""The training step: detectron2's SimpleTrainer with autocast, and state that resumes exactly."""

import contextlib
import logging
import math
import time
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer
from detectron2.solver.build import maybe_add_gradient_clipping

from acnet.engine.loader import TrainLoader
from acnet.engine.metrics import recent_scalars, restore_scalars
from acnet.engine.precision import Precision
from acnet.errors import UserError

# detectron2 logs every error with its traceback; those of the user are told in a line.
logging.getLogger("detectron2.engine.train_loop").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], UserError))
)


def clip_gradients(optimizer: torch.optim.Optimizer, clip: Any) -> torch.optim.Optimizer:
    """Let an optimizer clip gradients before each step, in place, by detectron2's own clipping.

    The config's `train.clip_gradients` has detectron2's keys in small letters: norm and value are
    those of each parameter's gradient.

    Raises:
        UserError: there is no such clip_type.
    """
    if clip is None or not clip.enabled:  # configs that are older than this key have none
        return optimizer
    if clip.clip_type not in ("norm", "value"):
        raise UserError(
            f"train.clip_gradients.clip_type is norm or value. Received {clip.clip_type!r}."
        )
    keys = {name.upper(): value for name, value in clip.items()}
    return maybe_add_gradient_clipping(CfgNode({"SOLVER": {"CLIP_GRADIENTS": keys}}), optimizer)


class Trainer(SimpleTrainer):
    """Trains in fp32, float16 with gradient scaling or bfloat16, on any device.

    detectron2's AMPTrainer insists on CUDA. This one also saves the gradient scaler and the recent
    scalars, and names the images of a batch whose loss is not finite.

    A batch may go through the model in equal parts, as many as `accumulate` says. The gradient is
    that of the whole batch wherever a loss is a mean over images; BN sees a part at a time.
    """

    def __init__(
        self,
        *,
        model: torch.nn.Module,
        data_loader: TrainLoader,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        accumulate: int = 1,
    ):
        super().__init__(model, data_loader, optimizer)
        self._accumulate = accumulate
        self._precision = precision
        self._grad_scaler = precision.grad_scaler()
        self._saved_scalars: dict[str, Any] = {}
        self.next_iter = 0  # where to start: after a checkpoint's iteration, if one was loaded

    def run_step(self) -> None:
        """Train on one batch.

        Raises:
            FloatingPointError: a loss is infinite or NaN.
        """
        start = time.perf_counter()
        batch = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        self.optimizer.zero_grad()
        losses = self._backward(batch)
        self.after_backward()
        self._record(losses, data_time, batch)
        self._grad_scaler.unscale_(self.optimizer)  # before an optimizer clips: see clip_gradients
        self._grad_scaler.step(self.optimizer)
        self._grad_scaler.update()

    def _backward(self, batch: list[dict]) -> dict[str, torch.Tensor]:
        """Add up the gradients of a batch, part by part, and return its losses."""
        size = len(batch) // self._accumulate
        parts = [batch[start : start + size] for start in range(0, len(batch), size)]
        totals: dict[str, torch.Tensor] = {}
        for number, part in enumerate(parts, start=1):
            with contextlib.ExitStack() as stack:
                if number < len(parts) and hasattr(self.model, "no_sync"):
                    # Processes exchange gradients once a step, at the last part.
                    stack.enter_context(self.model.no_sync())
                with self._precision.autocast():
                    losses = {name: x / len(parts) for name, x in self.model(part).items()}
                    total_loss = sum(losses.values())
                self._grad_scaler.scale(total_loss).backward()
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0) + loss.detach()
        return totals

    def _record(self, losses: dict[str, torch.Tensor], data_time: float, batch: list[dict]) -> None:
        # One transfer for all losses: each would stop the host until the GPU has caught up.
        values = torch.stack([loss.detach().float() for loss in losses.values()]).cpu()
        losses = dict(zip(losses, values, strict=True))
        if not math.isfinite(sum(values.tolist())):
            images = ", ".join(str(d.get("file_name", "an unnamed image")) for d in batch)
            raise FloatingPointError(
                f"The loss became infinite or NaN at iteration {self.iter} on the images {images}; "
                f"losses: { {name: value.item() for name, value in losses.items()} }. Lower "
                "optimizer.lr, lengthen the warm-up, or look at these images and their boxes."
            )
        self._write_metrics(losses, data_time)

    def before_train(self) -> None:
        """Give the storage its past back, then let the hooks begin."""
        restore_scalars(self.storage, self._saved_scalars)
        super().before_train()

    def after_train(self) -> None:
        """Let the hooks end, then the processes that read images."""
        super().after_train()
        self._data_loader_iter_obj = None

    def state_dict(self) -> dict[str, Any]:
        """Collect all that a resumed run needs besides the model; random numbers are not state."""
        state = super().state_dict()
        state["grad_scaler"] = self._grad_scaler.state_dict()
        state["scalars"] = recent_scalars(self.storage)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a run with the same model and optimizer.

        Its gradient scale is used only if both runs scale gradients.
        """
        super().load_state_dict(state_dict)
        self.next_iter = self.iter + 1
        if self._grad_scaler.is_enabled() and state_dict["grad_scaler"]:
            self._grad_scaler.load_state_dict(state_dict["grad_scaler"])
        self._saved_scalars = state_dict["scalars"]
