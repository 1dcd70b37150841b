"""The order of the data, the random numbers of each sample, and the loader over both."""

import json
import os
import random
import re
import signal
from argparse import Namespace
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from detectron2.config import LazyCall
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts
from detectron2.data.datasets import register_coco_instances
from detectron2.utils import comm
from PIL import Image

from acnet.data.tiles.mapper import TileMapper
from acnet.engine.launch import launch
from acnet.engine.loader import (
    BatchStream,
    build_train_loader,
    derive_seed,
    isolated_rng,
    load_data,
    seed_everything,
)
from acnet.errors import UserError
from tests.engine import tiny_task


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def test_derived_seeds():
    # Golden: were they to change, no old run could be resumed exactly.
    assert derive_seed(42, 0, 0) == 3444837047
    assert derive_seed(42, 1, 0) == 3329053876
    seeds = {derive_seed(s, i, r) for s in range(4) for i in range(100) for r in range(4)}
    assert len(seeds) == 1600  # of 2^32, so two equal ones are a 1 in 3000 chance
    assert derive_seed(1, 2) != derive_seed(2, 1)


def test_isolated_rng_repeats_inside_and_changes_nothing_outside():
    def fail() -> None:
        with isolated_rng(5):
            inside.append(draw())
            raise ZeroDivisionError

    inside = []
    seed_everything(1)
    expected = [draw(), draw()]
    seed_everything(1)
    outside = [draw()]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()
    outside.append(draw())
    assert outside == expected
    assert inside[0] == inside[1]
    seed_everything(5)
    assert inside[0] == draw()
    assert all(a != b for a, b in zip(inside[0], expected[0], strict=True))


def take(stream: BatchStream, start: int, stop: int) -> list[list[int]]:
    return [stream.batch(i) for i in range(start, stop)]


def flatten(batches: list[list[int]]) -> list[int]:
    return [image for batch in batches for image in batch]


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (3, 8), (1, 1), (64, 16)])
@pytest.mark.parametrize("grouped", [False, True])
def test_any_place_is_the_same_as_counting_up_to_it(size, batch_size, grouped):
    options = {"size": size, "batch_size": batch_size, "seed": 3}
    options["groups"] = [i % 2 for i in range(size)] if grouped else None
    counted = take(BatchStream(**options), 0, 30)
    for start in (29, 7, 0, 18):
        assert BatchStream(**options).batch(start) == counted[start]


def test_epochs_are_complete_and_differ():
    # In batches of four, two of which lie in two epochs each.
    images = flatten(take(BatchStream(size=10, batch_size=4, seed=0), 0, 10))
    epochs = [images[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert flatten(take(BatchStream(size=10, batch_size=4, seed=1), 0, 10)) != images


def test_groups_share_batches_and_no_image_is_lost():
    groups = [int(i % 3 == 0) for i in range(103)]
    plain = BatchStream(size=103, batch_size=4, seed=0)
    grouped = BatchStream(size=103, batch_size=4, seed=0, groups=groups)
    for start in range(0, 100, 25):  # windows of 103 // 4 batches
        batches = take(grouped, start, start + 25)
        assert Counter(flatten(batches)) == Counter(flatten(take(plain, start, start + 25)))
        mixed = [batch for batch in batches if len({groups[image] for image in batch}) > 1]
        assert len(mixed) <= 1
        shapes = [groups[batch[0]] for batch in batches]
        assert shapes != sorted(shapes)  # not all wide images first


def test_one_group_is_no_grouping_but_for_the_order_of_batches():
    plain = take(BatchStream(size=12, batch_size=3, seed=0), 0, 4)
    grouped = take(BatchStream(size=12, batch_size=3, seed=0, groups=[0] * 12), 0, 4)
    assert sorted(grouped) == sorted(plain)


def build(**changes):
    arguments = {"dataset": tiny_task.make_dicts(), "mapper": tiny_task.draw, **changes}
    return build_train_loader(**{"total_batch_size": 4, "num_workers": 0, **arguments})


def read(loader, count: int) -> list[tuple[int, float]]:
    return [(d["image_id"], d["image"].sum().item()) for b in islice(loader, count) for d in b]


def test_start_at_gives_what_an_unbroken_stream_gives_with_or_without_workers():
    unbroken = read(build(), 9)
    for num_workers in (0, 2):
        loader = build(num_workers=num_workers)
        loader.start_at(5)
        assert read(loader, 4) == unbroken[5 * 4 :]


def test_an_image_is_augmented_anew_each_epoch():
    drawn = read(build(), 10)  # four epochs of ten images
    assert len({value for image, value in drawn if image == 3}) == 4
    assert read(build(seed=-1), 3) != read(build(seed=-1), 3)  # which draws a seed


@pytest.mark.parametrize("num_workers", [0, 1])
def test_reading_leaves_the_random_numbers_of_the_training_alone(num_workers):
    seed_everything(0)
    expected = draw()
    seed_everything(0)
    read(build(num_workers=num_workers), 2)
    assert draw() == expected


def test_groups_follow_the_shape():
    batches = islice(build(dataset=tiny_task.make_dicts(64)), 16)
    shapes = [{d["width"] > d["height"] for d in batch} for batch in batches]
    assert sum(len(shape) > 1 for shape in shapes) <= 1


def test_unknown_sizes_and_unequal_shares_are_errors_with_a_remedy(monkeypatch):
    dicts = [{"image_id": i} for i in range(3)]
    with pytest.raises(UserError, match=r"aspect_ratio_grouping=False"):
        build(dataset=dicts)
    assert len(next(iter(build(dataset=dicts, mapper=dict, aspect_ratio_grouping=False)))) == 4
    monkeypatch.setattr(comm, "get_world_size", lambda: 3)
    with pytest.raises(UserError, match=r"total_batch_size=4 with 3 processes.*a multiple of 3"):
        build()


def test_a_worker_outlives_a_sigterm_from_elsewhere():
    loader = iter(build(num_workers=1))
    next(loader)
    (worker,) = loader._workers
    sender = os.fork()
    if sender == 0:  # another process of the machine: not the worker's parent
        os.kill(worker.pid, signal.SIGTERM)
        os._exit(0)
    os.waitpid(sender, 0)
    assert len([next(loader) for _ in range(5)]) == 5
    assert worker.is_alive()
    os.kill(worker.pid, signal.SIGTERM)  # the worker's parent
    worker.join(timeout=5)
    assert worker.exitcode == 0


NOT_LOADED = "Received damaged, which cannot be loaded"
EMPTY = r"is empty!\); look at it by `acnet data check`"
CUT = r"a\.jpg \(image file is truncated .* Replace it by an intact copy"
DAMAGED_SETS = {
    "category": (lambda c, _: c["annotations"][0].update(category_id=7), f"{NOT_LOADED} .*_id=7"),
    "no photos": (lambda c, _: c.update(images=[], annotations=[]), f"{NOT_LOADED} .*{EMPTY}"),
    "no boxes": (lambda content, _: content.update(annotations=[]), "1 photos without a box"),
    "no categories": (lambda content, _: content.pop("categories"), NOT_LOADED),
    "cut": (lambda _, photo: photo.write_bytes(photo.read_bytes()[:-50]), CUT),
    "size": (lambda _, p: Image.new("RGB", (80, 60)).save(p), r"a\.jpg \(Mismatched image shape"),
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("change", "told"), DAMAGED_SETS.values(), ids=DAMAGED_SETS)
def test_a_damaged_data_set_ends_a_training_in_a_line(change, told, workers, tmp_path, capfd):
    photo = tmp_path / "a.jpg"
    Image.new("RGB", (64, 48), "pink").save(photo)
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 20, 20], "area": 400}
    content = {
        "images": [{"id": 1, "file_name": photo.name, "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "acne"}],
        "annotations": [{**box, "iscrowd": 0}],
    }
    change(content, photo)
    (tmp_path / "a.json").write_text(json.dumps(content))
    register_coco_instances("damaged", {}, str(tmp_path / "a.json"), str(tmp_path))
    node = LazyCall(build_train_loader)(
        dataset=LazyCall(get_detection_dataset_dicts)(names="damaged", filter_empty=False),
        mapper=TileMapper(is_train=True, augmentations=[], image_format="BGR"),
        total_batch_size=1,
        num_workers=workers,
    )
    args = Namespace(num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto")
    try:
        with pytest.raises(SystemExit, match=r"^2$"):
            launch(lambda _: next(iter(load_data(node))), args)
    finally:
        DatasetCatalog.remove("damaged")
        MetadataCatalog.remove("damaged")
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert re.search(told, said[0])
