"""How many of our files a user's way goes through: those with a function that runs on it.

Module bodies do not count, nor templates. A reader who follows the way reads these files.
"""

import json

import pytest

TRACE = """
import inspect, json, os, sys, threading
root = os.path.join(os.getcwd(), "acnet", "")
files, seen = set(), set()

def trace(frame, event, argument):
    code = frame.f_code
    if event == "call" and code not in seen:
        seen.add(code)
        if code.co_name.endswith(("comp>", "genexpr>")):
            return  # part of a function that ran, or of a module's body
        if code.co_filename.startswith(root) and code.co_flags & inspect.CO_OPTIMIZED:
            files.add(code.co_filename[len(root):])

threading.setprofile(trace)
sys.setprofile(trace)
try:
    {code}
finally:
    sys.setprofile(None)
    ours = sorted(one for one in files if not one.startswith("templates"))
    with open(sys.argv[1], "w") as file:
        json.dump(ours, file)
"""
COMMAND = "from acnet.cli.main import main; assert main({!r}) == 0"
LOSS = """
    import torch
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage
    from acnet.config import load_config
    from detectron2.config import instantiate
    model = instantiate(load_config("toy/acnet_r18").model)
    truth = Instances((64, 64), gt_boxes=Boxes(torch.tensor([[8.0, 8, 40, 40]])),
                      gt_classes=torch.zeros(1, dtype=torch.int64))
    with EventStorage():
        losses = model([{"image": torch.zeros(3, 64, 64), "instances": truth}])
    assert sum(losses.values()).isfinite()
"""


def files_on(code, run_python, tmp_path):
    """Run code in a process of its own, and return our files that it goes through."""
    run_python("-c", TRACE.replace("{code}", code.strip()), tmp_path / "files.json")
    return json.loads((tmp_path / "files.json").read_text())


@pytest.mark.slow
def test_a_photo(run_python, tmp_path):
    words = ["predict", "datasets/sample_photos", "--device", "cpu", "--output"]
    files = files_on(COMMAND.format([*words, str(tmp_path / "out")]), run_python, tmp_path)
    assert "inference/predictor.py" in files
    assert len(files) <= 46, files


@pytest.mark.slow
def test_from_a_config_to_its_loss(run_python, tmp_path):
    files = files_on(LOSS, run_python, tmp_path)
    assert "modeling/attention_blocks.py" in files
    assert len(files) <= 18, files
