"""A detection task so small that a training of twelve steps takes a moment: see tiny_config.py."""

import os
import signal

import numpy as np
import torch
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import nn

SIZE = 16


def make_dicts(num_images: int = 10) -> list[dict]:
    """Data set dicts of images that are wide or tall by turns, and exist in `draw` only."""
    return [
        {
            "file_name": f"image_{i}.jpg",
            "image_id": i,
            "width": SIZE + i % 2,
            "height": SIZE,
            "target": float(i % 3),
        }
        for i in range(num_images)
    ]


def look(record: dict) -> dict:
    """A mapper without augmentation."""
    image = np.random.default_rng(record["image_id"]).random((3, SIZE, SIZE), dtype=np.float32)
    return {**record, "image": torch.from_numpy(image)}


def draw(record: dict) -> dict:
    """A mapper with random augmentation from each generator that augmentations use."""
    change = 0.1 * np.random.rand() + 0.1 * torch.rand(()).item()  # noqa: NPY002
    return {**record, "image": look(record)["image"] + change}


class TinyDetector(nn.Module):
    """Convolution, BN and dropout: parameters, buffers and random numbers as in a real model.

    Args:
        nan_at_image: an image whose loss is NaN.
        error_at_step: the step, counted from 1 in this process, at which it raises.
        sigterm_at_step: the step at which this process gets SIGTERM.
        sigterm_at_test: the image of the evaluations at which it gets SIGTERM.
    """

    def __init__(
        self,
        *,
        nan_at_image: int | None = None,
        error_at_step: int | None = None,
        sigterm_at_step: int | None = None,
        sigterm_at_test: int | None = None,
    ):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 1)
        self.nan_at_image = nan_at_image
        self.disturbances = {
            ("step", error_at_step): self._raise,
            ("step", sigterm_at_step): self._terminate,
            ("test", sigterm_at_test): self._terminate,
        }
        self.counts = {"step": 0, "test": 0}

    def forward(self, batch: list[dict]):
        """Give losses in training, and one number per image in evaluation."""
        self._count("step" if self.training else "test")
        images = torch.stack([d["image"] for d in batch]).to(self.head.weight.device)
        features = self.bn(self.conv(images)).relu().mean(dim=(2, 3))  # (images, 4)
        if not self.training:
            return [{"score": score.item()} for score in self.head(features)]
        scores = self.head(nn.functional.dropout(features))[:, 0]  # (images,)
        targets = torch.tensor([d["target"] for d in batch], device=scores.device)
        loss = nn.functional.mse_loss(scores.float(), targets)
        if any(d["image_id"] == self.nan_at_image for d in batch):
            loss = loss * torch.nan
        return {"loss_score": loss, "loss_size": 0.01 * self.head.weight.square().sum()}

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        self.disturbances.get((what, self.counts[what]), lambda: None)()

    def _raise(self) -> None:
        raise RuntimeError("stands for a kill")

    def _terminate(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class TinyEvaluator(DatasetEvaluator):
    """A made-up AP50 from the mean squared error, over the images of all processes."""

    def reset(self) -> None:
        self._errors = []

    def process(self, inputs, outputs) -> None:
        for record, output in zip(inputs, outputs, strict=True):
            self._errors.append((output["score"] - record["target"]) ** 2)

    def evaluate(self) -> dict | None:
        errors = [error for part in comm.gather(self._errors) for error in part]
        if not comm.is_main_process():
            return None
        return {"bbox": {"AP50": 100 - float(np.mean(errors)), "APs": float("nan")}}
