"""The order of the training data as a pure function of the seed and the iteration.

detectron2's TrainingSampler and AspectRatioGroupedDataset carry state from batch to batch, so a
resumed run cannot meet the images that an unbroken one would have met. Here batch i can be asked
for directly, without reading an image.

Shape shorthand:
    N: images in the data set    B: images in a batch, over all processes
    W: batches in a window, within which images of like shape are put together
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

from acnet.engine.seeding import derive_seed

_EPOCH, _WINDOW, _SAMPLE = range(3)  # what a derived seed is for


class BatchStream:
    """An endless sequence of batches, shuffled anew each epoch, that can be read at any place.

    Images form one stream of epochs; batch i takes positions i * B to (i + 1) * B of it. No image
    is dropped at an epoch's end. With `groups`, the stream is cut into windows of W batches (about
    one epoch); inside a window images of one group come together, at most one batch in it for each
    further group is mixed, and the batches are shuffled. Each window still holds the same images.

    Args:
        size: N, number of images, at least 1.
        batch_size: B, at least 1.
        seed: non-negative.
        groups: one small integer per image (0: wide, 1: tall, say), or None for no grouping.
    """

    def __init__(
        self, *, size: int, batch_size: int, seed: int, groups: Sequence[int] | None = None
    ):
        self._size = size
        self._batch_size = batch_size
        self._seed = seed
        self._groups = None if groups is None else np.asarray(groups)
        self._window_batches = 1 if groups is None else max(1, size // batch_size)
        self._cached_window = lru_cache(maxsize=1)(self._window)
        self._cached_epoch = lru_cache(maxsize=2)(self._epoch)

    def batch(self, iteration: int) -> list[int]:
        """Tell which images the batch of an iteration holds.

        Args:
            iteration: from 0.

        Returns:
            B indices into the data set.
        """
        window, row = divmod(iteration, self._window_batches)
        return self._cached_window(window)[row].tolist()

    def sample_seed(self, iteration: int, slot: int) -> int:
        """Give the seed of the augmentations of one image of one batch.

        Args:
            iteration: from 0.
            slot: the image's place in the batch, 0 to B - 1.

        Returns:
            A seed in [0, 2^32) that no other place of the stream shares, but for chance.
        """
        return derive_seed(self._seed, _SAMPLE, iteration * self._batch_size + slot)

    def _epoch(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, _EPOCH, epoch]).permutation(self._size)  # (N,)

    def _stream(self, start: int, stop: int) -> np.ndarray:
        epochs = range(start // self._size, (stop - 1) // self._size + 1)
        images = np.concatenate([self._cached_epoch(epoch) for epoch in epochs])
        first = epochs[0] * self._size
        return images[start - first : stop - first]  # (stop - start,)

    def _window(self, window: int) -> np.ndarray:
        length = self._window_batches * self._batch_size
        images = self._stream(window * length, (window + 1) * length)  # (W * B,)
        if self._groups is None:
            return images.reshape(self._window_batches, self._batch_size)
        images = images[np.argsort(self._groups[images], kind="stable")]
        batches = images.reshape(self._window_batches, self._batch_size)  # (W, B)
        order = np.random.default_rng([self._seed, _WINDOW, window])
        return batches[order.permutation(self._window_batches)]


class StreamBatchSampler(Sampler):
    """This process' share of a `BatchStream`, as a batch sampler for torch's DataLoader.

    Each item is a list of (index into the data set, seed of its augmentations). All processes of a
    run see one global batch, so the data do not depend on how many there are.

    Args:
        stream: the batches of all processes together.
        rank: this process, 0 to world_size - 1.
        world_size: number of processes, a divisor of the batch size.
        batch_size: B, images over all processes.
    """

    def __init__(self, *, stream: BatchStream, rank: int, world_size: int, batch_size: int):
        share = batch_size // world_size
        self._stream = stream
        self._slots = range(rank * share, (rank + 1) * share)
        self.start_iteration = 0

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for iteration in itertools.count(self.start_iteration):
            images = self._stream.batch(iteration)
            yield [(images[s], self._stream.sample_seed(iteration, s)) for s in self._slots]
