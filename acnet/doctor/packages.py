"""Packages: are they there, do they load, do they do what is asked of them?"""

import importlib
import importlib.metadata
import platform
import sys

import acnet
from acnet.doctor.finding import Finding, guarded

OLDEST_PYTHON = (3, 10)
MAKE_ENV = "run `make env` in a clone of acnet"
# What acnet imports besides the packages that have a check of their own, and where it comes from.
OTHER_MODULES = {
    "defusedxml": "defusedxml",
    "fvcore": "fvcore",
    "hydra": "hydra-core",
    "iopath": "iopath",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "numpy": "numpy",
    "omegaconf": "omegaconf",
    "safetensors": "safetensors",
    "simplejpeg": "simplejpeg",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}


def check_packages() -> list[Finding]:
    """Examine Python and every package that acnet needs."""
    return [
        _python(),
        guarded("torch", _torch, remedy=_pip("torch")),
        guarded("torchvision", _torchvision, remedy=_pip("torchvision")),
        guarded(
            "detectron2",
            _detectron2,
            remedy=f"{MAKE_ENV}, or install it from https://github.com/facebookresearch/detectron2",
        ),
        guarded("cv2", _cv2, remedy=_pip("opencv-python-headless")),
        guarded("pycocotools", _pycocotools, remedy=_pip("pycocotools")),
        guarded("engines", _engines, remedy=_pip("onnxruntime")),
        _others(),
    ]


def _pip(package: str) -> str:
    return f"`{sys.executable} -m pip install --force-reinstall {package}`, or {MAKE_ENV}"


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, "
    text += f"acnet {acnet.__version__}"
    if sys.version_info < OLDEST_PYTHON:
        remedy = "install Python 3.11 or 3.12"
        return Finding(name="python", status="fault", text=text, remedy=remedy)
    return Finding(name="python", status="ok", text=text)


def _torch() -> Finding:
    import torch

    total = float(torch.ones(4).sum())
    if total != 4:
        raise ArithmeticError(f"a sum of four ones is {total}")
    text = f"{torch.__version__}, {torch.get_num_threads()} threads"
    return Finding(name="torch", status="ok", text=text)


def _torchvision() -> Finding:
    import torch
    import torchvision

    # Boxes 0 and 1 are the same, so one of them goes.
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        raise ArithmeticError(f"its NMS keeps {kept} where [0, 2] is right")
    return Finding(name="torchvision", status="ok", text=f"{torchvision.__version__}, its ops work")


def _detectron2() -> Finding:
    import detectron2
    from detectron2.modeling import GeneralizedRCNN

    text = f"{detectron2.__version__}, {GeneralizedRCNN.__name__} loads"
    try:
        importlib.import_module("detectron2._C")
    except ImportError:
        text += "; its compiled part (_C) does not, and is not needed"
    else:
        text += ", and its compiled part (_C) too, which is not needed"
    return Finding(name="detectron2", status="ok", text=text)


def _cv2() -> Finding:
    import cv2
    import numpy as np

    shape = cv2.resize(np.zeros((4, 4, 3), np.uint8), (2, 2)).shape
    if shape != (2, 2, 3):
        raise ArithmeticError(f"a resized picture has shape {shape}")
    return Finding(name="cv2", status="ok", text=cv2.__version__)


def _pycocotools() -> Finding:
    from pycocotools import mask

    area = int(mask.area(mask.frPyObjects([[0, 0, 4, 0, 4, 4, 0, 4]], 8, 8))[0])
    if area != 16:
        raise ArithmeticError(f"the area of a 4 x 4 square is {area}")
    return Finding(name="pycocotools", status="ok", text=_version("pycocotools"))


def _engines() -> Finding:
    """What can run exported models; those that are there must load."""
    from acnet.export.metadata import ENGINES

    found, missing = [], []
    for name, kind in ENGINES.items():
        if not kind.is_installed:
            missing.append(f"for {name}: {kind.remedy}")
            continue
        kind.import_package()
        found.append(name if kind.extra is None else f"{name} {_version(kind.package)}")
    return Finding(
        name="engines",
        status="note" if missing else "ok",
        text=f"{', '.join(found)} run models",
        remedy="; ".join(missing),
    )


def _others() -> Finding:
    broken = {}
    for module, package in OTHER_MODULES.items():

        def load(module: str = module) -> Finding:
            importlib.import_module(module)
            return Finding(name=module, status="ok", text="")

        finding = guarded(module, load, remedy="")
        if finding.status == "fault":
            text = finding.text
            broken[package] = text if text.startswith(module) else f"{module} {text}"
    name = "other packages"
    if broken:
        remedy = _pip(" ".join(broken))
        return Finding(name=name, status="fault", text="; ".join(broken.values()), remedy=remedy)
    return Finding(name=name, status="ok", text=f"{len(OTHER_MODULES)} load")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "version unknown"
