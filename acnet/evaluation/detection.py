"""Evaluators of registered sets: ours, or detectron2's own with its metric names."""

import contextlib
import copy
import io
import logging
from typing import Literal

from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, PascalVOCDetectionEvaluator
from detectron2.evaluation.coco_evaluation import COCOevalMaxDets
from pycocotools.coco import COCO

from acnet.evaluation.evaluator import LesionEvaluator

logger = logging.getLogger(__name__)

SMALLEST_CAP = (
    10  # COCO's summary also reports recall at 1 and 10; the cap must be the last of them
)


class CappedCOCOEvaluator(COCOEvaluator):
    """detectron2's ``COCOEvaluator`` for dense photos, and with an AP of 0 for silence.

    Photos of acne hold more than the 100 lesions after which COCO stops counting, so the cap is an
    argument here, and a model that predicts nothing scores 0 where detectron2 reports NaN: a NaN
    would hide the worst possible model from the choice of the best checkpoint. The metric names are
    detectron2's; a size bin without ground truth stays NaN, as it does there.

    Args:
        dataset_name: Registered set whose metadata has a ``json_file``, or that detectron2 can
            convert (it then needs ``output_dir``).
        output_dir: Folder for detectron2's dumps of the predictions, or None for no dump.
        max_dets_per_image: Detections that count for each image, best scores first; at least 10.
        distributed: Gather the predictions of all processes; False evaluates this process alone.

    Raises:
        ValueError: The cap is below 10.
    """

    def __init__(
        self,
        *,
        dataset_name: str,
        output_dir: str | None = None,
        max_dets_per_image: int = 1000,
        distributed: bool = True,
    ):
        if max_dets_per_image < SMALLEST_CAP:
            raise ValueError(
                f"max_dets_per_image must be at least {SMALLEST_CAP}, because COCO's summary also "
                f"reports recall at 1 and 10 detections. Received {max_dets_per_image}; "
                f"set it to {SMALLEST_CAP} or more."
            )
        super().__init__(
            dataset_name,
            tasks=("bbox",),
            distributed=distributed,
            output_dir=output_dir,
            max_dets_per_image=max_dets_per_image,
            use_fast_impl=False,  # the fast one needs detectron2's compiled _C
        )

    def _derive_coco_results(self, coco_eval, iou_type, class_names=None):
        if coco_eval is None:
            logger.warning("The model predicted nothing on any image: AP is 0.")
            coco_eval = self._evaluate_nothing(iou_type)
        return super()._derive_coco_results(coco_eval, iou_type, class_names)

    def _evaluate_nothing(self, iou_type):
        """Run COCO's evaluation on an empty list of detections, which ``COCO.loadRes`` refuses."""
        detections = COCO()
        detections.dataset = copy.copy(self._coco_api.dataset)
        detections.dataset["annotations"] = []
        with contextlib.redirect_stdout(io.StringIO()):
            detections.createIndex()
            coco_eval = COCOevalMaxDets(self._coco_api, detections, iou_type)
            coco_eval.params.maxDets = self._max_dets_per_image
            coco_eval.evaluate()
            coco_eval.accumulate()
            coco_eval.summarize()
        return coco_eval


def build_evaluator(
    *,
    dataset_name: str,
    output_dir: str | None = None,
    max_dets_per_image: int = 1000,
    kind: Literal["lesion", "detectron2"] = "detectron2",
    count_threshold: float | None = None,
) -> DatasetEvaluator:
    """Build an evaluator for a registered set.

    Args:
        dataset_name: Name in detectron2's catalogs; its metadata's ``evaluator_type`` says by whose
            rules it is evaluated, ``coco`` or ``pascal_voc``.
        output_dir: Folder for the predictions in COCO's result format; detectron2's evaluator of
            VOC sets writes none.
        max_dets_per_image: Detections that count for each image; VOC's rules count all.
        kind: "lesion" gives ``LesionEvaluator``. "detectron2" gives its evaluators: COCO's AP, or
            the 11-point or area AP of a VOC set's year, whose mean runs over all classes of the
            metadata, and one without an object that counts (not "difficult") is a 0 in it.
        count_threshold: See ``LesionEvaluator``.

    Returns:
        An evaluator whose results hold ``bbox/AP``, ``bbox/AP50`` and ``bbox/AP75`` in percent.

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
    return CappedCOCOEvaluator(
        dataset_name=dataset_name, output_dir=output_dir, max_dets_per_image=max_dets_per_image
    )
