"""`import acnet` is instant, and its names are there when they are used."""

import pytest

import acnet

WHOLE_PHOTOS = """
import importlib, pkgutil, acnet.photos
for one in pkgutil.iter_modules(acnet.photos.__path__):
    importlib.import_module(f"acnet.photos.{one.name}")
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import acnet; assert 'Predictor' in dir(acnet)", {"cv2", "detectron2", "numpy", "torch"}),
        (WHOLE_PHOTOS, {"detectron2", "numba", "scipy", "torch"}),
    ],
    ids=["acnet", "acnet.photos"],
)
def test_an_import_loads_nothing_heavy(run_code, code, absent):
    assert run_code(code)[1].isdisjoint(absent)


def test_every_name_is_there():
    assert acnet.load.__name__ == "load"
    assert [getattr(acnet, name).__name__ for name in acnet.__all__] == acnet.__all__


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="it has MergeOptions, Predictor, TilingOptions, load"):
        _ = acnet.Predictr
