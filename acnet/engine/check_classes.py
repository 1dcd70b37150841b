"""Models and data sets have the same classes; torch would only say that an index is too large."""

from collections.abc import Iterable

from detectron2.data import DatasetCatalog, MetadataCatalog
from omegaconf import DictConfig, OmegaConf

from acnet.errors import UserError


def check_classes(cfg: DictConfig, names: Iterable[str]) -> None:
    """Compares the number of a model's classes with that of its data sets.

    Args:
        cfg: of the run.
        names: of the data sets; those that are not registered, or name no classes, are left out.

    Raises:
        UserError: they differ.
    """
    expected = OmegaConf.select(cfg, "model.roi_heads.num_classes")
    for name in names:
        metadata = MetadataCatalog.get(name) if name in DatasetCatalog else None
        classes = metadata.get("thing_classes") if metadata is not None else None
        if expected is None or classes is None or len(classes) == expected:
            continue
        raise UserError(
            "A detector has one output for each class of its data. Received "
            f"model.roi_heads.num_classes={expected} for {name!r} with {len(classes)}: "
            f"{', '.join(classes)}. Set model.roi_heads.num_classes={len(classes)}, or import the "
            "data with --one-class or --class-map."
        )
