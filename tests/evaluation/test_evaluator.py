"""Evaluators in detectron2's loop: our numbers against detectron2's, on COCO and VOC sets."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.data.datasets.pascal_voc import register_pascal_voc
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from acnet.errors import UserError
from acnet.evaluation import LesionEvaluator, build_evaluator
from tests.evaluation.coco_content import content_of, row_of
from tests.evaluation.random_sets import random_set

NAME = "test_evaluator_set"


@pytest.fixture(autouse=True)
def _clean_catalogs():
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        if NAME in catalog.list():
            catalog.remove(NAME)


def output_of(boxes_xyxy, scores, classes) -> dict:
    """Return a model's output for one image."""
    instances = Instances((640, 640))
    instances.pred_boxes = Boxes(torch.as_tensor(boxes_xyxy, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.as_tensor(scores, dtype=torch.float32)
    instances.pred_classes = torch.as_tensor(classes, dtype=torch.int64)
    return {"instances": instances}


def outputs_of(content: dict, results: list[dict]) -> dict[int, dict]:
    """Turn COCO results into a model's outputs by image, with the registered set's id map."""
    class_of = MetadataCatalog.get(NAME).thing_dataset_id_to_contiguous_id
    outputs = {}
    for image in content["images"]:
        rows = [row for row in results if row["image_id"] == image["id"]]
        boxes = np.array([row["bbox"] for row in rows]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        classes = [class_of[row["category_id"]] for row in rows]
        outputs[image["id"]] = output_of(boxes, [row["score"] for row in rows], classes)
    return outputs


def register(folder: Path, content: dict, **metadata) -> None:
    """Register a COCO set."""
    json_file = folder / "gt.json"
    json_file.write_text(json.dumps(content))
    register_coco_instances(NAME, metadata, str(json_file), str(folder))
    if not metadata:
        DatasetCatalog.get(NAME)  # fills the metadata's id map, as a test loader does


def register_random(folder: Path, seed: int) -> dict[int, dict]:
    """Register a random set whose category ids have gaps, and return outputs by image."""
    content, results = random_set(seed)
    register(folder, content)
    return outputs_of(content, results)


def build(kind: str = "lesion", **options) -> DatasetEvaluator:
    """Build an evaluator of the registered set."""
    return build_evaluator(dataset_name=NAME, kind=kind, **options)


def run(evaluator: DatasetEvaluator, outputs: dict) -> dict[str, dict[str, float]]:
    """Feed {image id: output} to the evaluator and return its results."""
    evaluator.reset()
    for image_id, output in outputs.items():
        evaluator.process([{"image_id": image_id}], [output])
    return evaluator.evaluate()


def evaluate(outputs: dict, kind: str = "lesion", **options) -> dict[str, float]:
    """Evaluate {image id: output} on the registered set, and return the results for boxes."""
    return run(build(kind, **options), outputs)["bbox"]


@pytest.mark.parametrize("seed", range(5))
def test_a_coco_set_gives_detectron2s_numbers_and_file(tmp_path, seed):
    outputs = register_random(tmp_path, seed)
    folders = [str(tmp_path / "ours"), str(tmp_path / "theirs")]
    assert isinstance(build(), LesionEvaluator)
    assert isinstance(build("detectron2"), COCOEvaluator)
    numbers = evaluate(outputs, output_dir=folders[0])
    expected = evaluate(outputs, "detectron2", output_dir=folders[1])
    assert numbers["AP50"] > 5
    for name in ("AP", "AP50", "AP75", "APs", "APm", "APl"):
        if name in numbers:
            assert numbers[name] == pytest.approx(expected[name], abs=1e-9, rel=0)
        else:
            assert np.isnan(expected[name])  # no lesion of that size
    assert numbers["AP50"] == numbers["AP50@1000"]
    assert {"AP@100", "AP[16-32px]@1000", "AP50-VOC07", "FROC-iou", "FROC-centre"} <= set(numbers)
    assert not any(np.isnan(list(numbers.values())))
    rows, expected_rows = (
        json.loads((Path(folder) / "coco_instances_results.json").read_text()) for folder in folders
    )
    rows, expected_rows = (sorted(map(json.dumps, of_one)) for of_one in (rows, expected_rows))
    assert rows == expected_rows


def test_detectron2s_evaluator_gets_the_cap(tmp_path):
    # Recall stops at 10 / 30: 34 of the recalls 0.00, 0.01, ... have precision 1.
    boxes = [[20.0 * i, 0.0, 20.0, 20.0] for i in range(30)]
    content = content_of([{"bbox": box, "area": 400, "iscrowd": 0} for box in boxes])
    register(tmp_path, content)
    outputs = outputs_of(content, [row_of(box, 0.9) for box in boxes])
    numbers = evaluate(outputs, "detectron2", max_dets_per_image=10)
    assert numbers["AP"] == pytest.approx(100 * 34 / 101)


@pytest.mark.parametrize("id_map", [[2, 0, 1], [0, 1], [0, 1, 3], [0, 1, 1]])
def test_the_sets_own_id_map_is_respected_or_refused(tmp_path, id_map):
    content, results = random_set(5)
    ids = sorted(category["id"] for category in content["categories"])
    id_of = dict(zip(ids, id_map, strict=False))
    register(tmp_path, content, thing_dataset_id_to_contiguous_id=id_of)
    if sorted(id_map) != [0, 1, 2]:
        with pytest.raises(UserError, match="correct thing_dataset_id_to_contiguous_id"):
            build()
        return
    outputs = outputs_of(content, results)
    numbers, expected = evaluate(outputs), evaluate(outputs, "detectron2")
    assert numbers["AP"] > 5
    assert numbers["AP"] == pytest.approx(expected["AP"], abs=1e-9, rel=0)


def test_silence_is_0_counts_need_a_threshold_and_the_cap_is_in_the_keys(tmp_path):
    outputs = register_random(tmp_path, 0)
    silent = evaluate({})
    assert set(silent.values()) == {0.0}
    assert {"AP", "AP50", "AP75", "APs"} <= set(silent)
    assert evaluate({image_id: output_of([], [], []) for image_id in outputs}) == silent
    assert not [key for key in evaluate(outputs) if key.startswith("count")]
    numbers = evaluate(outputs, count_threshold=2.0)  # above all scores: none counts
    truth = json.loads((tmp_path / "gt.json").read_text())
    lesions = [annotation for annotation in truth["annotations"] if not annotation["iscrowd"]]
    assert numbers["count-MAE"] == pytest.approx(len(lesions) / len(truth["images"]))
    assert numbers["count-bias"] == -numbers["count-MAE"]
    assert {"AP@100", "AP@300"} <= set(evaluate(outputs, max_dets_per_image=300))
    few = evaluate(outputs, max_dets_per_image=50)
    assert "AP@50" in few
    assert not [key for key in few if key.endswith("@100")]
    with pytest.raises(UserError, match="Received a cap of 2 and"):  # before inference
        build(max_dets_per_image=2)


def test_foreign_photos_classes_kinds_and_sets_are_refused(tmp_path):
    outputs = register_random(tmp_path, 3)
    evaluator = build()
    with pytest.raises(ValueError, match=r"Received image_id=999, which is not in test_evaluator"):
        evaluator.process([{"image_id": 999}], [output_of([], [], [])])
    with pytest.raises(ValueError, match=r"Received 3; set the model's num_classes to 3"):
        evaluator.process([{"image_id": next(iter(outputs))}], [output_of([0, 0, 1, 1], [1], [3])])
    with pytest.raises(ValueError, match="Received kind='coco' and count_threshold=None"):
        build("coco")
    with pytest.raises(ValueError, match="of which only the first counts lesions"):
        build("detectron2", count_threshold=0.5)
    with pytest.raises(ValueError, match="Received evaluator_type=None for 'no such set'"):
        build_evaluator(dataset_name="no such set")


def synthetic_outputs(rng: np.random.Generator) -> dict[str, dict]:
    """Make detections of VOC photos: jittered objects, duplicates, wrong classes.

    On the grid that detectron2's evaluator writes, 0.1 pixels and scores of three digits, and with
    scores that differ within a class, since it sorts equal ones in no fixed order.
    """
    outputs = {}
    free_scores = {k: rng.permutation(np.arange(1, 1000)).tolist() for k in range(20)}
    for record in DatasetCatalog.get(NAME):
        boxes, classes = [], []
        for annotation in record["annotations"]:
            box = np.array(annotation["bbox"])
            for _ in range(rng.choice([0, 1, 1, 2, 3])):
                boxes.append(box + rng.normal(0, 0.08, 4) * np.tile(box[2:] - box[:2], 2))
                right = rng.random() < 0.9
                classes.append(annotation["category_id"] if right else rng.integers(20))
        scores = [free_scores[int(k)].pop() / 1000 for k in classes]
        outputs[record["image_id"]] = output_of(np.round(boxes, 1), scores, classes)
    return outputs


@pytest.mark.parametrize(
    ("year", "rule", "split"),
    # detectron2's area AP of the test photos is NaN, since some classes are not in them.
    [(2007, "VOC07", "trainval"), (2007, "VOC07", "test"), (2012, "area", "trainval")],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
def test_a_voc_set_gives_detectron2s_numbers(voc100, year, rule, split):
    register_pascal_voc(NAME, str(voc100), split, year)
    MetadataCatalog.get(NAME).evaluator_type = "pascal_voc"
    outputs = synthetic_outputs(np.random.default_rng(year))
    assert isinstance(build("detectron2"), PascalVOCDetectionEvaluator)
    numbers, expected = evaluate(outputs), evaluate(outputs, "detectron2")
    # detectron2 takes a class without an object that counts for a 0; here it is left out. The 20
    # test photos show 16 of the 20 classes, one of them (diningtable) only as "difficult".
    share = 1 if split == "trainval" else 15 / 20
    for name in ("AP", "AP50", "AP75"):
        assert 20 < numbers[name] < 90
        assert share * numbers[name] == pytest.approx(expected[name], abs=1e-9, rel=0)
        assert numbers[name] == numbers[f"{name}-{rule}"]


def evaluate_my_share(folder: str, world: int) -> None:
    """Process every `world`-th photo; the first process writes result and predictions."""
    rank = comm.get_rank()
    own = Path(folder) / f"rank{rank}of{world}"
    own.mkdir()
    outputs = register_random(own, 4)
    evaluator = build(output_dir=folder, count_threshold=0.5)
    results = run(evaluator, dict(list(outputs.items())[rank::world]))
    if comm.is_main_process():
        (Path(folder) / f"result_of_{world}.json").write_text(json.dumps(results))
        predictions = Path(folder) / "coco_instances_results.json"
        predictions.rename(Path(folder) / f"predictions_of_{world}.json")
    else:
        assert results == {}


def test_two_processes_give_the_numbers_and_the_file_of_one(tmp_path, in_two_processes):
    evaluate_my_share(str(tmp_path), 1)
    DatasetCatalog.remove(NAME)  # the forked processes register it anew
    MetadataCatalog.remove(NAME)
    in_two_processes(evaluate_my_share, str(tmp_path), 2)
    for kind in ("result", "predictions"):
        one, two = ((tmp_path / f"{kind}_of_{n}.json").read_bytes() for n in (1, 2))
        assert len(one) > 500
        assert one == two
