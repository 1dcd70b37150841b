"""What the classes of a trained model are called."""

import logging
from collections.abc import Sequence

from detectron2.data import DatasetCatalog, MetadataCatalog

from acnet.data.register import register_all, register_paths
from acnet.errors import UserError

logger = logging.getLogger(__name__)


def class_names(datasets: str | Sequence[str] | None, count: int) -> list[str]:
    """Return the names that a config's test set has, or numbers where it is not known here.

    Args:
        datasets: names of the test sets; the first decides.
        count: classes of the model.

    Returns:
        `count` names.
    """
    dataset = datasets if isinstance(datasets, str) else next(iter(datasets or []), "")
    if dataset not in DatasetCatalog:
        register_all()
        _register_path(dataset)
    names = (
        MetadataCatalog.get(dataset).get("thing_classes", []) if dataset in DatasetCatalog else []
    )
    if len(names) != count:
        logger.warning(
            "The model has %s classes and its test set %r names %d; they are called by number.",
            *(count, dataset, len(names)),
        )
        return [f"class {index + 1}" for index in range(count)]
    return list(names)


def _register_path(dataset: str) -> None:
    """Registers a set that is named by its path, which may be on another machine."""
    try:
        register_paths([dataset])
    except UserError as error:
        logger.warning("%s", error)
