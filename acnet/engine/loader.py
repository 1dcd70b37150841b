"""The training loader, in an order that can be resumed.

detectron2's TrainingSampler and AspectRatioGroupedDataset carry state from batch to batch, so a
resumed run cannot meet the images that an unbroken one would have met. Here the order is a pure
function of the seed and the iteration: batch i can be asked for directly, without reading an image.

Shape shorthand:
    N: images in the data set    B: images in a batch, over all processes
    W: batches in a window, within which images of like shape are put together
"""

import hashlib
import itertools
import json
import logging
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import instantiate
from detectron2.data import DatasetFromList
from detectron2.data.build import trivial_batch_collator
from detectron2.utils import comm
from omegaconf import DictConfig, OmegaConf
from torch.utils import data as torchdata

from acnet.errors import UserError

logger = logging.getLogger(__name__)

_EPOCH, _WINDOW, _SAMPLE = range(3)  # what a derived seed is for


def derive_seed(*numbers: int) -> int:
    """Mix non-negative integers into one well spread seed in [0, 2^32), equal on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch (every device) at once, by an integer in [0, 2^32)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - detectron2's augmentations draw from this generator
    torch.manual_seed(seed)


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed the CPU's generators inside the block and put their former state back after it."""
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - as above
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


class BatchStream:
    """An endless sequence of batches, shuffled anew each epoch, that can be read at any place.

    Images form one stream of epochs; batch i takes positions i * B to (i + 1) * B of it. No image
    is dropped at an epoch's end. With `groups`, the stream is cut into windows of W batches (about
    one epoch); inside a window images of one group come together, at most one batch in it for each
    further group is mixed, and the batches are shuffled. Each window still holds the same images.

    N = `size` and B = `batch_size` are at least 1, the seed is non-negative, and `groups` are one
    small integer per image (0: wide, 1: tall, say).
    """

    def __init__(
        self, *, size: int, batch_size: int, seed: int, groups: Sequence[int] | None = None
    ):
        self._size = size
        self.batch_size = batch_size
        self._seed = seed
        self._groups = None if groups is None else np.asarray(groups)
        self._window_batches = 1 if groups is None else max(1, size // batch_size)
        self._cached_window = lru_cache(maxsize=1)(self._window)
        self._cached_epoch = lru_cache(maxsize=2)(self._epoch)

    def batch(self, iteration: int) -> list[int]:
        """Return the B images of an iteration's batch as indices into the data set."""
        window, row = divmod(iteration, self._window_batches)
        return self._cached_window(window)[row].tolist()

    def sample_seed(self, iteration: int, slot: int) -> int:
        """Return the seed of one image's augmentations, by its slot in the batch, 0 to B - 1."""
        return derive_seed(self._seed, _SAMPLE, iteration * self.batch_size + slot)

    def _epoch(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, _EPOCH, epoch]).permutation(self._size)  # (N,)

    def _stream(self, start: int, stop: int) -> np.ndarray:
        epochs = range(start // self._size, (stop - 1) // self._size + 1)
        images = np.concatenate([self._cached_epoch(epoch) for epoch in epochs])
        first = epochs[0] * self._size
        return images[start - first : stop - first]  # (stop - start,)

    def _window(self, window: int) -> np.ndarray:
        length = self._window_batches * self.batch_size
        images = self._stream(window * length, (window + 1) * length)  # (W * B,)
        if self._groups is None:
            return images.reshape(self._window_batches, self.batch_size)
        images = images[np.argsort(self._groups[images], kind="stable")]
        batches = images.reshape(self._window_batches, self.batch_size)  # (W, B)
        order = np.random.default_rng([self._seed, _WINDOW, window])
        return batches[order.permutation(self._window_batches)]


class StreamBatchSampler(torchdata.Sampler):
    """This process' share of a `BatchStream`, as a batch sampler for torch's DataLoader.

    Each item is a list of (index into the data set, seed of its augmentations). All processes of a
    run see one global batch, so the data do not depend on how many there are; their number divides
    the batch size.
    """

    def __init__(self, stream: BatchStream, *, rank: int, world_size: int):
        share = stream.batch_size // world_size
        self._stream = stream
        self._slots = range(rank * share, (rank + 1) * share)
        self.start_iteration = 0

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for iteration in itertools.count(self.start_iteration):
            images = self._stream.batch(iteration)
            yield [(images[s], self._stream.sample_seed(iteration, s)) for s in self._slots]


class SeededMapDataset(torchdata.Dataset):
    """Map data set dicts with the random numbers of the sample, not of the worker."""

    def __init__(self, dataset: torchdata.Dataset, mapper: Callable[[dict], Any]):
        self._dataset = dataset
        self._mapper = mapper

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        index, seed = key
        with isolated_rng(seed):
            return self._mapper(self._dataset[index])


class TrainLoader(torchdata.DataLoader):
    """An endless loader whose batches are a function of seed and iteration only.

    Iterating over it starts at iteration 0, or where `start_at` said.
    """

    # What it was built of: `images`, `boxes` and the `sha256` of names, sizes and boxes; empty
    # where that is not known.
    contents: Mapping[str, int | str]

    def start_at(self, iteration: int) -> None:
        """Let the next `iter()` begin with this iteration's batch; nothing is read before it."""
        self.batch_sampler.start_iteration = iteration


def build_train_loader(
    *,
    dataset: list[dict] | torchdata.Dataset,
    mapper: Callable[[dict], Any],
    total_batch_size: int,
    num_workers: int = 2,
    seed: int = 42,
    aspect_ratio_grouping: bool = True,
) -> TrainLoader:
    """Build an endless training loader that can start at any iteration.

    It takes the place of detectron2's `build_detection_train_loader`. The images, their order and
    their augmentations depend on the seed alone: not on the number of workers or of processes.

    Args:
        dataset: data set dicts, as `get_detection_dataset_dicts` gives them, or a map-style
            data set of such dicts (then without grouping).
        mapper: maps a dict to a model's input, such as detectron2's DatasetMapper. Its random
            choices may use `random`, `numpy.random` and torch's CPU generator.
        total_batch_size: images in a batch over all processes, of which each takes its share.
        num_workers: processes that read images; 0 reads in the training process.
        seed: of order and augmentations; negative draws one, which cannot be resumed exactly.
        aspect_ratio_grouping: put wide images together and tall images together, to pad less.

    Raises:
        UserError: the batch cannot be shared out, images have no known size to group by, or there
            is no box.
    """
    world_size = comm.get_world_size()
    if total_batch_size < 1 or total_batch_size % world_size:
        raise UserError(
            "total_batch_size must be a positive multiple of the number of processes, since each "
            f"takes an equal share. Received total_batch_size={total_batch_size} with {world_size} "
            f"processes. Set dataloader.train.total_batch_size to a multiple of {world_size}."
        )
    if isinstance(dataset, list) and all(one.get("annotations") == [] for one in dataset):
        raise UserError(
            "A training needs boxes, or its model learns that nothing is a lesion. Received "
            f"{len(dataset)} photos without a box; look at the data set by `acnet data check`."
        )
    groups = _shape_groups(dataset) if aspect_ratio_grouping else None
    seed = seed if seed >= 0 else comm.shared_random_seed()
    stream = BatchStream(size=len(dataset), batch_size=total_batch_size, seed=seed, groups=groups)
    contents = {}
    if isinstance(dataset, list):
        contents, dataset = _contents(dataset), DatasetFromList(dataset, copy=False)
    logger.info(
        "Training on %d images, %d in each batch over %d process(es), data seed %d.",
        *(len(dataset), total_batch_size, world_size, seed),
    )
    loader = TrainLoader(
        SeededMapDataset(dataset, mapper),
        batch_sampler=StreamBatchSampler(stream, rank=comm.get_rank(), world_size=world_size),
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
        worker_init_fn=outlive_sigterm,
        pin_memory=torch.cuda.is_available(),
        # Its own generator, or each new iterator would draw from the training's random numbers.
        generator=torch.Generator().manual_seed(seed),
    )
    loader.contents = contents
    return loader


def load_data(node: DictConfig) -> Any:
    """Build a loader of a config, and say in one line what is wrong with its data set.

    Raises:
        UserError: the data set cannot be loaded.
    """
    try:
        return instantiate(node)
    except UserError:
        raise
    except Exception:
        try:
            instantiate(node.get("dataset", None))  # is it to blame, or the loader?
        except Exception as error:
            reason = " ".join(f"{error}".split())[:300]
            raise UserError(
                "A data set is a COCO file with photos, and categories for all of its boxes. "
                f"Received {OmegaConf.select(node, 'dataset.names')}, which cannot be loaded "
                f"({type(error).__name__}: {reason}); look at it by `acnet data check`."
            ) from error
        raise


def _contents(dataset: list[dict]) -> dict[str, int | str]:
    """Return what tells that a data set has changed, wherever it lies."""
    digest, boxes = hashlib.sha256(), 0
    for record in dataset:
        found = [
            [box.get("category_id"), *map(float, box.get("bbox", ()))]
            for box in record.get("annotations", ())
        ]
        boxes += len(found)
        name = Path(record.get("file_name", "")).name
        size = record.get("width"), record.get("height")
        digest.update(json.dumps([name, *size, found], default=str).encode())
    return {"images": len(dataset), "boxes": boxes, "sha256": digest.hexdigest()}


def _shape_groups(dataset: list[dict] | torchdata.Dataset) -> list[int]:
    if not isinstance(dataset, list) or not all("width" in d and "height" in d for d in dataset):
        raise UserError(
            "Grouping images by their shape needs a list of dicts that all have 'width' and "
            f"'height'. Received {type(dataset).__name__}. Add the sizes, or set "
            "dataloader.train.aspect_ratio_grouping=False."
        )
    return [0 if d["width"] > d["height"] else 1 for d in dataset]


def outlive_sigterm(worker_id: int) -> None:
    """Let only the training process end this worker; a `worker_init_fn` of DataLoader.

    A cluster's SIGTERM reaches every process, and the training process still needs its data to
    finish the step. Torch's own handler would end the worker, and with it the training. Only for
    forked workers: a spawned one that waits for signals does not get through Python's own exit.
    """
    can_wait = hasattr(signal, "sigwaitinfo")  # not on macOS
    if can_wait and multiprocessing.get_start_method() == "fork":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
