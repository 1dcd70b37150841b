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


def test_names_are_those_of_the_inference_package():
    from acnet.inference import MergeOptions, Predictor, TilingOptions

    assert (acnet.MergeOptions, acnet.Predictor, acnet.TilingOptions) == (
        MergeOptions,
        Predictor,
        TilingOptions,
    )


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="it has MergeOptions, Predictor, TilingOptions"):
        _ = acnet.Predictr
