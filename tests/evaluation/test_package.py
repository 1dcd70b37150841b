"""The package's names, and that files are evaluated without a deep-learning library."""

import subprocess
import sys

import pytest

import acnet.evaluation


@pytest.mark.parametrize("name", acnet.evaluation.__all__)
def test_every_name_is_there(name):
    assert getattr(acnet.evaluation, name) is not None


def test_unknown_names_are_refused():
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from acnet.evaluation import nonsense  # noqa: F401


def test_numbers_need_neither_torch_nor_detectron2(repo_root):
    code = (
        "import sys; from acnet.evaluation import match, read_predictions; "
        "sys.exit(' '.join({'cv2', 'detectron2', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
