"""The evaluator that a config builds: the cap, silence, VOC photos, several processes."""

import json
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.data.datasets.pascal_voc import register_pascal_voc
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, Instances

from acnet.evaluation import LesionEvaluator, build_evaluator

COCO_SET = "test_detection_coco"
VOC_SET = "test_detection_voc"


@pytest.fixture
def clean_catalogs():
    """Forget the sets of this module after the test."""
    yield
    for name in (COCO_SET, VOC_SET):
        if name in DatasetCatalog.list():
            DatasetCatalog.remove(name)
        if name in MetadataCatalog.list():
            MetadataCatalog.remove(name)


def register_boxes(folder: Path, boxes_per_image: list[list[list[float]]]) -> None:
    """Register COCO_SET with one image for each list of XYXY boxes."""
    annotations = [
        {"image_id": image_id, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        for image_id, boxes in enumerate(boxes_per_image, start=1)
        for x0, y0, x1, y1 in boxes
    ]
    for annotation_id, annotation in enumerate(annotations, start=1):
        annotation.update(id=annotation_id, category_id=1, iscrowd=0)
    images = [
        {"id": i + 1, "file_name": f"{i}.jpg", "width": 640, "height": 640}
        for i in range(len(boxes_per_image))
    ]
    json_file = folder / "boxes.json"
    json_file.write_text(
        json.dumps(
            {
                "images": images,
                "annotations": annotations,
                "categories": [{"id": 1, "name": "acne"}],
            }
        )
    )
    register_coco_instances(COCO_SET, {}, str(json_file), str(folder))
    DatasetCatalog.get(COCO_SET)  # fills the metadata's id map, as a test loader does


def grid_boxes(count: int) -> list[list[float]]:
    """Return `count` separate boxes of 20 px on a grid of 30 px, at most 21 in a row."""
    corners = [(30.0 * (i % 21), 30.0 * (i // 21)) for i in range(count)]
    return [[x, y, x + 20, y + 20] for x, y in corners]


def output_of(boxes_xyxy: list[list[float]], class_ids: list[int] | None = None) -> dict:
    """Return a model's output for one image, all scores 0.9."""
    instances = Instances((640, 640))
    instances.pred_boxes = Boxes(torch.tensor(boxes_xyxy).reshape(-1, 4))
    instances.scores = torch.full((len(boxes_xyxy),), 0.9)
    instances.pred_classes = torch.tensor(class_ids or [0] * len(boxes_xyxy), dtype=torch.int64)
    return {"instances": instances}


def evaluate(evaluator, outputs: dict) -> dict:
    """Feed {image id: output} to the evaluator and return its results for boxes."""
    evaluator.reset()
    for image_id, output in outputs.items():
        evaluator.process([{"image_id": image_id}], [output])
    return evaluator.evaluate()["bbox"]


@pytest.mark.usefixtures("clean_catalogs")
class TestCOCO:
    def test_300_perfect_boxes_score_100_below_the_cap(self, tmp_path):
        boxes = grid_boxes(300)
        register_boxes(tmp_path, [boxes])
        evaluator = build_evaluator(dataset_name=COCO_SET, max_dets_per_image=1000)
        result = evaluate(evaluator, {1: output_of(boxes)})
        assert isinstance(evaluator, LesionEvaluator)
        assert result["AP"] == pytest.approx(100)
        assert result["AP50"] == pytest.approx(100)

    @pytest.mark.parametrize("kind", ["lesion", "detectron2"])
    def test_cap_of_100_cuts_300_boxes_to_a_third(self, tmp_path, kind):
        # Recall stops at 100 / 300. Of COCO's 101 recall points 0.00, 0.01, ... the first 34
        # (0.00 to 0.33) have precision 1, the others 0: AP = 34 / 101.
        boxes = grid_boxes(300)
        register_boxes(tmp_path, [boxes])
        # Ours refuses a cap below a photo's lesions, and reports that of papers beside its own.
        cap = {"lesion": 1000, "detectron2": 100}[kind]
        suffix = {"lesion": "@100", "detectron2": ""}[kind]
        evaluator = build_evaluator(dataset_name=COCO_SET, max_dets_per_image=cap, kind=kind)
        result = evaluate(evaluator, {1: output_of(boxes)})
        assert result[f"AP50{suffix}"] == pytest.approx(100 * 34 / 101)
        assert result[f"AP{suffix}"] == pytest.approx(100 * 34 / 101)

    def test_no_predictions_at_all_score_0_under_the_usual_names(self, tmp_path):
        boxes = grid_boxes(3)
        register_boxes(tmp_path, [boxes, []])
        evaluator = build_evaluator(dataset_name=COCO_SET)
        silent = evaluate(evaluator, {1: output_of([]), 2: output_of([])})
        one_wrong = evaluate(evaluator, {1: output_of([]), 2: output_of([[0.0, 0.0, 9.0, 9.0]])})
        assert [silent[key] for key in ("AP", "AP50", "AP75", "APs")] == [0, 0, 0, 0]
        assert list(silent) == list(one_wrong)
        assert "APl" not in silent  # no large box in the ground truth

    def test_photo_without_lesions_costs_nothing_when_it_stays_empty(self, tmp_path):
        boxes = grid_boxes(3)
        register_boxes(tmp_path, [boxes, []])
        evaluator = build_evaluator(dataset_name=COCO_SET)
        result = evaluate(evaluator, {1: output_of(boxes), 2: output_of([])})
        assert result["AP"] == pytest.approx(100)

    def test_predictions_are_dumped_in_coco_format(self, tmp_path):
        boxes = grid_boxes(2)
        register_boxes(tmp_path, [boxes])
        evaluator = build_evaluator(dataset_name=COCO_SET, output_dir=str(tmp_path / "dump"))
        evaluate(evaluator, {1: output_of(boxes)})
        dumped = json.loads((tmp_path / "dump" / "coco_instances_results.json").read_text())
        assert [row["bbox"] for row in dumped] == [[0, 0, 20, 20], [30, 0, 20, 20]]


@pytest.mark.usefixtures("clean_catalogs")
class TestVOC:
    def perfect_outputs(self, folder: Path, split: str) -> dict:
        register_pascal_voc(VOC_SET, str(folder), split, 2007)
        return {
            record["image_id"]: output_of(
                [a["bbox"] for a in record["annotations"]],
                [a["category_id"] for a in record["annotations"]],
            )
            for record in DatasetCatalog.get(VOC_SET)
        }

    def test_perfect_boxes_on_real_photos_score_100(self, voc100):
        outputs = self.perfect_outputs(voc100, "trainval")
        MetadataCatalog.get(VOC_SET).evaluator_type = "pascal_voc"
        evaluator = build_evaluator(dataset_name=VOC_SET, kind="detectron2")
        result = evaluate(evaluator, outputs)
        assert isinstance(evaluator, PascalVOCDetectionEvaluator)
        assert result == pytest.approx({"AP": 100, "AP50": 100, "AP75": 100})

    @pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
    def test_class_without_objects_counts_as_0_in_the_mean(self, voc100):
        # The 20 test photos show 16 of the 20 classes, one of them (diningtable) only as
        # "difficult", which VOC does not count: 100 * 15 / 20.
        outputs = self.perfect_outputs(voc100, "test")
        MetadataCatalog.get(VOC_SET).evaluator_type = "pascal_voc"
        result = evaluate(build_evaluator(dataset_name=VOC_SET, kind="detectron2"), outputs)
        assert result["AP50"] == pytest.approx(75)


@pytest.mark.usefixtures("clean_catalogs")
def test_set_without_evaluator_type_is_refused():
    with pytest.raises(ValueError, match="Received evaluator_type=None for 'test_detection_coco'"):
        build_evaluator(dataset_name=COCO_SET)


def evaluate_my_half(folder: str) -> None:
    """Process every second image on each of two processes; the first writes the result."""
    from detectron2.utils import comm

    boxes = grid_boxes(4)
    register_boxes(Path(folder) / f"rank{comm.get_rank()}", [boxes] * 4)
    evaluator = build_evaluator(dataset_name=COCO_SET)
    mine = range(1 + comm.get_rank(), 5, comm.get_world_size())
    # Image 4 has one of its four boxes: 13 of 16 are found.
    outputs = {i: output_of(boxes[:1] if i == 4 else boxes) for i in mine}
    evaluator.reset()
    for image_id, output in outputs.items():
        evaluator.process([{"image_id": image_id}], [output])
    result = evaluator.evaluate()
    if comm.is_main_process():
        (Path(folder) / "result.json").write_text(json.dumps(result["bbox"]))
    else:
        assert result == {}


def test_two_processes_are_evaluated_together(tmp_path, in_two_processes):
    for rank in (0, 1):
        (tmp_path / f"rank{rank}").mkdir()
    in_two_processes(evaluate_my_half, str(tmp_path))
    result = json.loads((tmp_path / "result.json").read_text())
    # Recall 13 / 16 = 0.8125: the recall points 0.00 to 0.81 are reached, 82 of 101.
    assert result["AP50"] == pytest.approx(100 * 82 / 101)


def evaluate_my_half_of_voc(folder: str, voc100: str) -> None:
    """Process every second photo with perfect boxes; the first process writes the result."""
    from detectron2.utils import comm

    register_pascal_voc(VOC_SET, voc100, "trainval", 2007)
    MetadataCatalog.get(VOC_SET).evaluator_type = "pascal_voc"
    evaluator = build_evaluator(dataset_name=VOC_SET, kind="detectron2")
    evaluator.reset()
    for record in DatasetCatalog.get(VOC_SET)[comm.get_rank() :: comm.get_world_size()]:
        boxes = [annotation["bbox"] for annotation in record["annotations"]]
        classes = [annotation["category_id"] for annotation in record["annotations"]]
        evaluator.process([record], [output_of(boxes, classes)])
    result = evaluator.evaluate()
    if comm.is_main_process():
        (Path(folder) / "result.json").write_text(json.dumps(result["bbox"]))


def test_two_processes_see_all_voc_photos(tmp_path, voc100, in_two_processes):
    in_two_processes(evaluate_my_half_of_voc, str(tmp_path), str(voc100))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["AP50"] == pytest.approx(100)
