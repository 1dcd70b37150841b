"""Ground truth of the sets in detectron2's catalogs, whatever they were registered from."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from acnet.errors import UserError
from acnet.evaluation.coco_files import ground_truth_from_coco, read_ground_truth
from acnet.evaluation.columns import GroundTruth


@dataclass(frozen=True, kw_only=True, eq=False)
class RegisteredTruth:
    """A set's columns, and what a model's outputs refer to in them.

    Args:
        ground_truth: The columns.
        photo_of: Index of each photo by the `image_id` of its record.
        image_ids: The other way round.
        class_of: (K,) the columns' class index by the model's.
    """

    ground_truth: GroundTruth
    photo_of: Mapping[Hashable, int]
    image_ids: tuple[Hashable, ...]
    class_of: np.ndarray


def registered_truth(dataset_name: str) -> RegisteredTruth:
    """Read the ground truth of a registered set.

    Args:
        dataset_name: In detectron2's catalogs: with a COCO file in its metadata's `json_file`, or
            with `thing_classes` there and records that have annotations. VOC's flag "difficult",
            which detectron2's records lack, is read from the XML files.

    Returns:
        The ground truth, with photos in the order of the ids in the COCO file, or of the records.

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
