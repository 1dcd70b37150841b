"""A model of one class does not train on a set of two."""

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from omegaconf import OmegaConf

from acnet.engine import check_classes
from acnet.errors import UserError

NAME = "check_classes_test"


@pytest.fixture(autouse=True)
def _two_classes():
    DatasetCatalog.register(NAME, list)
    MetadataCatalog.get(NAME).thing_classes = ["acne", "scar"]
    yield
    DatasetCatalog.remove(NAME)
    MetadataCatalog.remove(NAME)


def config(num_classes):
    return OmegaConf.create({"model": {"roi_heads": {"num_classes": num_classes}}})


def test_equal_numbers_pass():
    check_classes(config(2), [NAME, "not_registered"])
    check_classes(OmegaConf.create({}), [NAME])


def test_other_numbers_are_told_with_both_remedies():
    with pytest.raises(UserError, match=r"acne, scar\. Set model\.roi_heads\.num_classes=2, or"):
        check_classes(config(1), [NAME])
