"""An evaluator for detectron2's loop that computes every number from the one match."""

import itertools
import logging
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.structures import BoxMode, Instances
from detectron2.utils import comm
from tabulate import tabulate

from acnet.evaluation.average_precision import PrecisionCurves
from acnet.evaluation.columns import Detections, sort_detections
from acnet.evaluation.counting import count_errors
from acnet.evaluation.froc import RULES, froc
from acnet.evaluation.matches import Matches
from acnet.evaluation.matching import check_room, match
from acnet.evaluation.registered import registered_truth
from acnet.files import write_json

logger = logging.getLogger(__name__)

PAPERS_CAP = 100  # what papers report, beside the cap that counts here
RESULTS_NAME = "coco_instances_results.json"  # as detectron2 calls it


@dataclass(frozen=True, kw_only=True)
class _Output:
    """What a model found in one photo, as plain arrays, which travel between processes."""

    image_id: Hashable
    boxes_xywh: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


class LesionEvaluator(DatasetEvaluator):
    """Average precision with the cap in its name, FROC and count errors, on tiles or whole photos.

    It works on whatever a registered set consists of, and knows COCO sets and VOC sets.

    Args:
        dataset_name: See `registered_truth`.
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
        self._outputs: list[_Output] = []

    def process(self, inputs: Sequence[dict], outputs: Sequence[dict]) -> None:
        """Take a batch of a detector's outputs.

        Args:
            inputs: Records of the set; their `image_id` is read.
            outputs: With `instances`, in pixels of the record's photo.

        Raises:
            ValueError: A photo or a class is not in the set.
        """
        for record, output in zip(inputs, outputs, strict=True):
            self._outputs.append(self._to_arrays(record["image_id"], output["instances"]))

    def evaluate(self) -> OrderedDict[str, dict[str, float]]:
        """Compute the numbers of all photos of the set; one without output has no detections.

        Returns:
            In the first process {"bbox": numbers}, in percent but for the counts; {} in the others.
            First `AP`, `AP50`, `AP75`, `APs`, `APm` and `APl` as detectron2's evaluator of the set
            reports them: by COCO's rule at `max_dets_per_image`, or, of a VOC set, the first three
            by its year's rule. Then those of `average_precision`, with size ranges at the largest
            cap alone; `FROC-iou` and `FROC-centre`; and with a threshold `count-MAE`, `count-RMSE`
            and `count-bias` in lesions a photo. What the set has no ground truth for is missing.
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
        return numbers | self._count_errors(matches)

    def _count_errors(self, matches: Matches) -> dict[str, float]:
        if self._count_threshold is None:
            return {}
        truth = matches.ground_truth
        counted = matches.detections.counts(truth.num_photos, score_threshold=self._count_threshold)
        errors = count_errors(counted, truth.counts())
        return {f"count-{name}": value for name, value in errors.items()}

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
        return _Output(
            image_id=image_id,
            # In the model's own precision, as in detectron2's file of predictions.
            boxes_xywh=BoxMode.convert(
                instances.pred_boxes.tensor.numpy(), BoxMode.XYXY_ABS, BoxMode.XYWH_ABS
            ),
            scores=instances.scores.numpy(),
            classes=classes,
        )

    def _to_columns(self, outputs: Sequence[_Output]) -> Detections:
        numbers = [len(output.scores) for output in outputs]
        photos = [self._truth.photo_of[output.image_id] for output in outputs]
        classes = _joined([output.classes for output in outputs], np.int64)
        return sort_detections(
            photo=np.repeat(np.array(photos, dtype=np.int64), numbers),
            classes=self._truth.class_of[classes],
            boxes_xywh=_joined([output.boxes_xywh for output in outputs], np.float64),
            scores=_joined([output.scores for output in outputs], np.float64),
        )

    def _to_rows(self, detections: Detections) -> list[dict[str, Any]]:
        """Return COCO results, sorted, so that any number of processes writes the same file."""
        category_ids = self._truth.ground_truth.category_ids[detections.classes].tolist()
        return [
            {
                "image_id": self._truth.image_ids[photo],
                "category_id": category_id,
                "bbox": box,
                "score": score,
            }
            for photo, category_id, box, score in zip(
                detections.photo.tolist(),
                category_ids,
                detections.boxes_xywh.tolist(),
                detections.scores.tolist(),
                strict=True,
            )
        ]


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *(array.ravel() for array in arrays)], dtype=dtype)
