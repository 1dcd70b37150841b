"""The training loader: detectron2's data set dicts and mappers, in an order that can be resumed."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from detectron2.data import DatasetFromList
from detectron2.data.build import trivial_batch_collator
from detectron2.utils import comm
from torch.utils import data as torchdata

from acnet.engine.sampler import BatchStream, StreamBatchSampler
from acnet.engine.seeding import isolated_rng
from acnet.engine.workers import outlive_sigterm
from acnet.errors import UserError

logger = logging.getLogger(__name__)


class SeededMapDataset(torchdata.Dataset):
    """Map data set dicts with the random numbers of the sample, not of the worker.

    Args:
        dataset: a map-style data set, or a wrapped list of dicts.
        mapper: turns a dict into a model's input, as detectron2's DatasetMapper does.
    """

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

    def start_at(self, iteration: int) -> None:
        """Let the next `iter()` begin with the batch of this iteration.

        Args:
            iteration: from 0; nothing is read to get there.
        """
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
        total_batch_size: images in a batch over all processes.
        num_workers: processes that read images; 0 reads in the training process.
        seed: of order and augmentations; negative draws one, which cannot be resumed exactly.
        aspect_ratio_grouping: put wide images together and tall images together, to pad less.

    Returns:
        A loader of lists of `total_batch_size / number of processes` mapped dicts.

    Raises:
        UserError: the batch cannot be shared out, or images have no known size to group by.
    """
    world_size = comm.get_world_size()
    if total_batch_size < 1 or total_batch_size % world_size:
        raise UserError(
            "total_batch_size must be a positive multiple of the number of processes, since each "
            f"takes an equal share. Received total_batch_size={total_batch_size} with {world_size} "
            f"processes. Set dataloader.train.total_batch_size to a multiple of {world_size}."
        )
    groups = _shape_groups(dataset) if aspect_ratio_grouping else None
    seed = seed if seed >= 0 else comm.shared_random_seed()
    stream = BatchStream(size=len(dataset), batch_size=total_batch_size, seed=seed, groups=groups)
    sampler = StreamBatchSampler(
        stream=stream, rank=comm.get_rank(), world_size=world_size, batch_size=total_batch_size
    )
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    logger.info(
        "Training on %d images, %d in each batch over %d process(es), data seed %d.",
        *(len(dataset), total_batch_size, world_size, seed),
    )
    return TrainLoader(
        SeededMapDataset(dataset, mapper),
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
        worker_init_fn=outlive_sigterm,
        # Its own generator, or each new iterator would draw from the training's random numbers.
        generator=torch.Generator().manual_seed(seed),
    )


def _shape_groups(dataset: list[dict] | torchdata.Dataset) -> list[int]:
    if not isinstance(dataset, list) or not all("width" in d and "height" in d for d in dataset):
        raise UserError(
            "Grouping images by their shape needs a list of dicts that all have 'width' and "
            f"'height'. Received {type(dataset).__name__}. Add the sizes, or set "
            "dataloader.train.aspect_ratio_grouping=False."
        )
    return [0 if d["width"] > d["height"] else 1 for d in dataset]
