"""`import acnet` is instant, and its names are there when they are used."""

import subprocess
import sys

import pytest

import acnet


def test_import_is_instant_because_it_imports_nothing_heavy():
    code = (
        "import sys, acnet; assert 'Predictor' in dir(acnet)\n"
        "print(*{'cv2', 'detectron2', 'numpy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_name_is_there():
    assert acnet.load.__name__ == "load"
    assert [getattr(acnet, name).__name__ for name in acnet.__all__] == acnet.__all__


def test_whole_photos_need_no_torch():
    code = (
        "import importlib, pkgutil, sys, acnet.photos as package\n"
        "for one in pkgutil.iter_modules(package.__path__):\n"
        "    importlib.import_module(f'acnet.photos.{one.name}')\n"
        "print(*{'torch', 'detectron2', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="it has MergeOptions, Predictor, TilingOptions, load"):
        _ = acnet.Predictr
