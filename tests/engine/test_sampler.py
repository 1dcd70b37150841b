"""The order of the data: complete epochs, any place at once, like shapes together."""

from collections import Counter
from itertools import islice

import pytest

from acnet.engine.sampler import BatchStream, StreamBatchSampler


def take(stream: BatchStream, start: int, stop: int) -> list[list[int]]:
    return [stream.batch(i) for i in range(start, stop)]


def flatten(batches: list[list[int]]) -> list[int]:
    return [image for batch in batches for image in batch]


def test_three_images_in_batches_of_two_by_hand():
    # N = 3, B = 2: batches 0, 1, 2 hold positions 0..5, which are two epochs of three images; so
    # batch 1 takes the last image of the first epoch and the first of the second.
    images = flatten(take(BatchStream(size=3, batch_size=2, seed=0), 0, 3))
    assert sorted(images[:3]) == [0, 1, 2]
    assert sorted(images[3:]) == [0, 1, 2]


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (3, 8), (1, 1), (64, 16)])
@pytest.mark.parametrize("grouped", [False, True])
def test_any_place_is_the_same_as_counting_up_to_it(size: int, batch_size: int, grouped: bool):
    groups = [i % 2 for i in range(size)] if grouped else None
    counted = take(BatchStream(size=size, batch_size=batch_size, seed=3, groups=groups), 0, 30)
    for start in (29, 7, 0, 18):
        fresh = BatchStream(size=size, batch_size=batch_size, seed=3, groups=groups)
        assert fresh.batch(start) == counted[start]


def test_epochs_are_complete_and_differ():
    images = flatten(take(BatchStream(size=10, batch_size=5, seed=0), 0, 8))
    epochs = [images[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_seeds_give_different_orders():
    assert take(BatchStream(size=50, batch_size=5, seed=0), 0, 2) != take(
        BatchStream(size=50, batch_size=5, seed=1), 0, 2
    )


def test_groups_share_batches_and_no_image_is_lost():
    size, batch_size = 103, 4
    groups = [int(i % 3 == 0) for i in range(size)]
    plain = BatchStream(size=size, batch_size=batch_size, seed=0)
    grouped = BatchStream(size=size, batch_size=batch_size, seed=0, groups=groups)
    window = size // batch_size
    for start in range(0, 4 * window, window):
        batches = take(grouped, start, start + window)
        assert Counter(flatten(batches)) == Counter(flatten(take(plain, start, start + window)))
        mixed = [batch for batch in batches if len({groups[image] for image in batch}) > 1]
        assert len(mixed) <= 1
        shapes = [groups[batch[0]] for batch in batches]
        assert shapes != sorted(shapes)  # not all wide images first


def test_one_group_is_no_grouping_but_for_the_order_of_batches():
    plain = take(BatchStream(size=12, batch_size=3, seed=0), 0, 4)
    grouped = take(BatchStream(size=12, batch_size=3, seed=0, groups=[0] * 12), 0, 4)
    assert sorted(grouped) == sorted(plain)


def test_processes_share_out_the_batches_of_one():
    def sampler(rank: int, world_size: int) -> StreamBatchSampler:
        stream = BatchStream(size=10, batch_size=4, seed=0)
        return StreamBatchSampler(stream=stream, rank=rank, world_size=world_size, batch_size=4)

    whole = list(islice(sampler(0, 1), 9))
    halves = zip(*(islice(sampler(rank, 2), 9) for rank in range(2)), strict=True)
    assert [first + second for first, second in halves] == whole


def test_start_iteration_skips_batches_and_keeps_their_seeds():
    stream = BatchStream(size=10, batch_size=4, seed=0)
    sampler = StreamBatchSampler(stream=stream, rank=0, world_size=1, batch_size=4)
    counted = list(islice(sampler, 8))
    sampler.start_iteration = 5
    assert list(islice(sampler, 3)) == counted[5:]
    seeds = [seed for batch in counted for _, seed in batch]
    assert len(set(seeds)) == 32
