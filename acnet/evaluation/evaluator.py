"""Evaluators for detectron2's loop: ours, with every number from the one match, or its own.

Ground truth comes from detectron2's catalogs, whatever a set was registered from.
"""

import itertools
import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import defusedxml.ElementTree
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, PascalVOCDetectionEvaluator
from detectron2.structures import BoxMode, Instances
from detectron2.utils import comm
from tabulate import tabulate

from acnet.errors import UserError
from acnet.evaluation.coco_files import ground_truth_from_coco, read_ground_truth
from acnet.evaluation.columns import Detections, GroundTruth, sort_detections
from acnet.evaluation.counting import count_errors
from acnet.evaluation.froc_curve import RULES, froc
from acnet.evaluation.matching import Matches, check_room, match
from acnet.evaluation.precision_curves import PrecisionCurves
from acnet.files import write_json

logger = logging.getLogger(__name__)

PAPERS_CAP = 100  # what papers report, beside the cap that counts here
RESULTS_NAME = "coco_instances_results.json"  # as detectron2 calls it
_Output = tuple[int, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class RegisteredTruth:
    """A set's columns, and what a model's outputs refer to in them."""

    ground_truth: GroundTruth
    photo_of: Mapping[Hashable, int]  # index of each photo by the `image_id` of its record
    image_ids: tuple[Hashable, ...]  # the other way round
    class_of: np.ndarray  # (K,) the columns' class index by the model's


def registered_truth(dataset_name: str) -> RegisteredTruth:
    """Read the ground truth of a registered set, photos in the order of the file or the records.

    Its metadata has a COCO file as `json_file`, or `thing_classes`, with records that have
    annotations. VOC's flag "difficult", which these lack, is read from the XML files.

    Raises:
        UserError: See `read_ground_truth`; or the metadata's id map does not fit the file.
    """
    metadata = MetadataCatalog.get(dataset_name)
    if metadata.get("json_file") is not None:
        ground_truth = read_ground_truth(metadata.json_file)
        image_ids = tuple(ground_truth.image_ids.tolist())
        id_map = metadata.get("thing_dataset_id_to_contiguous_id")
        class_of = _class_of(ground_truth.category_ids.tolist(), id_map, dataset_name)
    else:
        records = DatasetCatalog.get(dataset_name)
        ground_truth = _from_records(dataset_name, records, metadata)
        image_ids = tuple(record["image_id"] for record in records)
        class_of = np.arange(ground_truth.num_classes)
    return RegisteredTruth(
        ground_truth=ground_truth,
        photo_of={image_id: index for index, image_id in enumerate(image_ids)},
        image_ids=image_ids,
        class_of=class_of,
    )


def _class_of(
    category_ids: list[int], id_map: Mapping[int, int] | None, dataset_name: str
) -> np.ndarray:
    """Return (K,) the columns' class by the model's, which the metadata's map names."""
    if not id_map:
        return np.arange(len(category_ids))  # by rising id, as `load_coco_json` makes the map
    contiguous = [id_map.get(category_id) for category_id in category_ids]
    if sorted(contiguous, key=str) != sorted(range(len(category_ids)), key=str):
        raise UserError(
            "The id map of a set must give each category of its COCO file a class from 0, by which "
            f"models know it. Received {dataset_name} with categories {category_ids} and the map "
            f"{dict(id_map)}; correct thing_dataset_id_to_contiguous_id, or the file's categories."
        )
    return np.argsort(contiguous)


def _from_records(dataset_name: str, records: list[dict[str, Any]], metadata: Any) -> GroundTruth:
    is_voc = metadata.get("evaluator_type") == "pascal_voc"
    annotations = []
    for image_id, record in enumerate(records, start=1):
        flags = _difficult(Path(metadata.dirname), record["image_id"]) if is_voc else None
        for place, annotation in enumerate(record["annotations"]):
            box = BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYWH_ABS)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": annotation["category_id"] + 1,
                    "bbox": [float(value) for value in box],
                    "iscrowd": annotation.get("iscrowd", 0),
                    "difficult": flags[place] if is_voc else 0,
                }
            )
    images = [
        {key: record[key] for key in ("file_name", "width", "height")} | {"id": image_id}
        for image_id, record in enumerate(records, start=1)
    ]
    categories = [{"id": i, "name": n} for i, n in enumerate(metadata.thing_classes, start=1)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    return ground_truth_from_coco(content, source=dataset_name)


def _difficult(folder: Path, name: str) -> list[int]:
    root = defusedxml.ElementTree.parse(folder / "Annotations" / f"{name}.xml").getroot()
    return [int(node.findtext("difficult", "0")) for node in root.findall("object")]


class LesionEvaluator(DatasetEvaluator):
    """Average precision with the cap in its name, FROC and count errors, on tiles or whole photos.

    Args:
        dataset_name: A COCO or a VOC set, see `registered_truth`.
        output_dir: Folder for the predictions as COCO results; None for no file.
        max_dets_per_image: Detections of a photo and class that count, best scores first.
        count_threshold: Score from which a detection counts as a lesion, as `acnet calibrate` fits
            it; None for no count errors.
        distributed: Gather the outputs of all processes; False evaluates this process alone.

    Raises:
        UserError: The set's ground truth has a fault, or a photo of it holds more lesions of a
            class than `max_dets_per_image`.
    """

    def __init__(
        self,
        *,
        dataset_name: str,
        output_dir: str | None = None,
        max_dets_per_image: int = 1000,
        count_threshold: float | None = None,
        distributed: bool = True,
    ):
        self._dataset_name = dataset_name
        self._truth = registered_truth(dataset_name)
        check_room(self._truth.ground_truth, max_dets_per_image)  # not after hours of inference
        self._output_dir = output_dir
        self._caps = sorted({min(PAPERS_CAP, max_dets_per_image), max_dets_per_image})
        self._count_threshold = count_threshold
        self._distributed = distributed
        self.reset()

    def reset(self) -> None:
        """Forget all outputs."""
        # Photo, boxes, scores and classes as plain arrays, which travel between processes.
        self._outputs: list[_Output] = []

    def process(self, inputs: Sequence[dict], outputs: Sequence[dict]) -> None:
        """Take a batch of a detector's outputs, `instances` in pixels of the record's photo.

        Raises:
            ValueError: A photo or a class is not in the set.
        """
        for record, output in zip(inputs, outputs, strict=True):
            self._outputs.append(self._to_arrays(record["image_id"], output["instances"]))

    def evaluate(self) -> OrderedDict[str, dict[str, float]]:
        """Compute the numbers of all photos of the set; one without output has no detections.

        The first process gets {"bbox": numbers}, in percent but for the counts, the others {}.
        First `AP`, `AP50`, `AP75`, `APs`, `APm` and `APl` as detectron2's evaluator of the set
        reports them: by COCO's rule at `max_dets_per_image`, or, of a VOC set, the first three by
        its year's rule. Then those of `average_precision`, with size ranges at the largest cap
        alone; `FROC-iou` and `FROC-centre`; and with a threshold `count-MAE`, `count-RMSE` and
        `count-bias` in lesions a photo. What the set has no ground truth for is missing.
        """
        outputs = self._outputs
        if self._distributed:
            comm.synchronize()
            outputs = list(itertools.chain.from_iterable(comm.gather(outputs, dst=0) or []))
            if not comm.is_main_process():
                return OrderedDict()
        detections = self._to_columns(outputs)
        if self._output_dir is not None:
            path = Path(self._output_dir) / RESULTS_NAME
            write_json(path, self._to_rows(detections))
            logger.info("Predictions written to %s", path)
        matches = match(self._truth.ground_truth, detections, max_detections=self._caps)
        numbers = self._numbers(matches)
        main = [(key, value) for key, value in numbers.items() if "@" not in key]
        logger.info("Evaluation of %s:\n%s", self._dataset_name, tabulate(main, floatfmt=".3f"))
        return OrderedDict(bbox=numbers)

    def _numbers(self, matches: Matches) -> dict[str, float]:
        every_size = PrecisionCurves(matches, suffixes=("",), caps=self._caps[:-1], voc=False)
        precision = every_size.average_precision()
        precision |= PrecisionCurves(matches, caps=self._caps[-1:]).average_precision()
        plain = {name: f"{name}@{self._caps[-1]}" for name in ("AP", "AP50", "AP75")}
        plain |= {f"AP{size}": f"AP{size}@{self._caps[-1]}" for size in "sml"}
        metadata = MetadataCatalog.get(self._dataset_name)
        if metadata.get("evaluator_type") == "pascal_voc":
            rule = "VOC07" if metadata.year == 2007 else "area"
            plain |= {name: f"{name}-{rule}" for name in ("AP", "AP50", "AP75")}
        numbers = {name: precision[key] for name, key in plain.items() if key in precision}
        numbers |= precision
        for rule in RULES:
            curve = froc(matches, rule=rule)
            if curve is not None:
                numbers[f"FROC-{rule}"] = 100 * curve.score
        if self._count_threshold is not None:
            true = matches.ground_truth.counts()
            counted = matches.detections.counts(len(true), score_threshold=self._count_threshold)
            errors = count_errors(counted, true)
            numbers |= {f"count-{name}": value for name, value in errors.items()}
        return numbers

    def _to_arrays(self, image_id: Hashable, instances: Instances) -> _Output:
        if image_id not in self._truth.photo_of:
            raise ValueError(
                "An evaluator takes outputs for the photos of its set. Received image_id="
                f"{image_id!r}, which is not in {self._dataset_name}; give the evaluator the "
                "loader's set as dataset_name."
            )
        instances = instances.to("cpu")
        classes = instances.pred_classes.numpy()
        num_classes = len(self._truth.class_of)
        if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(
                f"A model for {self._dataset_name} predicts classes 0 to {num_classes - 1}. "
                f"Received {classes.max()}; set the model's num_classes to {num_classes}."
            )
        # In the model's own precision, as in detectron2's file of predictions.
        boxes_xywh = BoxMode.convert(
            instances.pred_boxes.tensor.numpy(), BoxMode.XYXY_ABS, BoxMode.XYWH_ABS
        )
        return self._truth.photo_of[image_id], boxes_xywh, instances.scores.numpy(), classes

    def _to_columns(self, outputs: Sequence[_Output]) -> Detections:
        photos, boxes_xywh, scores, classes = zip(*outputs, strict=True) if outputs else [()] * 4
        numbers = [len(of_photo) for of_photo in scores]
        return sort_detections(
            photo=np.repeat(np.array(photos, dtype=np.int64), numbers),
            classes=self._truth.class_of[_joined(classes, np.int64)],
            boxes_xywh=_joined(boxes_xywh, np.float64),
            scores=_joined(scores, np.float64),
        )

    def _to_rows(self, detections: Detections) -> list[dict[str, Any]]:
        """Return COCO results, sorted, so that any number of processes writes the same file."""
        columns = {
            "image_id": [self._truth.image_ids[photo] for photo in detections.photo.tolist()],
            "category_id": self._truth.ground_truth.category_ids[detections.classes].tolist(),
            "bbox": detections.boxes_xywh.tolist(),
            "score": detections.scores.tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *(array.ravel() for array in arrays)], dtype=dtype)


def build_evaluator(
    *,
    dataset_name: str,
    output_dir: str | None = None,
    max_dets_per_image: int = 1000,
    kind: Literal["lesion", "detectron2"] = "lesion",
    count_threshold: float | None = None,
) -> DatasetEvaluator:
    """Build an evaluator of a registered set: `bbox/AP`, `AP50` and `AP75` in percent, and others.

    Args:
        dataset_name: Name in detectron2's catalogs; its metadata's `evaluator_type` says by whose
            rules it is evaluated, `coco` or `pascal_voc`.
        kind: "lesion" gives `LesionEvaluator`, which the other arguments are for. "detectron2"
            gives detectron2's own evaluators: COCO's AP, which is NaN where nothing is predicted,
            or the 11-point or area AP of a VOC set's year, with no cap and no file, whose mean runs
            over all classes of the metadata; one without an object that counts (not "difficult")
            is a 0 in it.

    Raises:
        ValueError: The metadata names no evaluator that is known here, or an argument is none of
            the above.
    """
    evaluator_type = MetadataCatalog.get(dataset_name).get("evaluator_type")
    if evaluator_type not in ("coco", "pascal_voc"):
        raise ValueError(
            "A data set must say how it is evaluated, by 'coco' or 'pascal_voc' in its metadata. "
            f"Received evaluator_type={evaluator_type!r} for {dataset_name!r}; register the set "
            "before building its evaluator, or set MetadataCatalog.get(name).evaluator_type."
        )
    if kind == "lesion":
        return LesionEvaluator(
            dataset_name=dataset_name,
            output_dir=output_dir,
            max_dets_per_image=max_dets_per_image,
            count_threshold=count_threshold,
        )
    if kind != "detectron2" or count_threshold is not None:
        raise ValueError(
            "The kind of an evaluator is 'lesion' or 'detectron2', of which only the first counts "
            f"lesions. Received kind={kind!r} and count_threshold={count_threshold}; choose "
            "kind='lesion'."
        )
    if evaluator_type == "pascal_voc":
        return PascalVOCDetectionEvaluator(dataset_name)
    return COCOEvaluator(
        dataset_name,
        tasks=("bbox",),
        output_dir=output_dir,
        max_dets_per_image=max_dets_per_image,
        use_fast_impl=False,  # the fast one needs detectron2's compiled _C
    )
