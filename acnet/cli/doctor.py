"""`acnet doctor`: what is installed, what it can do, and how to repair what it cannot.

Nothing is imported before it is asked for, and a check that breaks is a finding too.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

import acnet
from acnet.cli.main import GET_DETECTRON2, add_command

DESCRIPTION = """\
Look at everything that acnet needs: packages, GPU, picture formats, disk, weights. Each line says
ok, note (a limit that hinders nothing) or fault, with what repairs it. The last line says what can
be done: all, or, where neither torch nor detectron2 is installed, what needs neither. Nothing is
changed.

Exit status: 0, or 1 where there is a fault.
"""
OLDEST_PYTHON = (3, 10)
MAKE_ENV = "run `make env` in a clone of acnet"
CAN = {
    "light": "predict, serve, review, evaluate, labels work here; training and export need more",
    "whole": "acnet can work here, and train",
}
# What acnet imports besides the packages that have a check of their own, and where it comes from:
# what requirements/light.txt lists, and the rest.
LIGHT_MODULES = {
    **dict.fromkeys(("defusedxml", "ijson", "jinja2", "numpy", "simplejpeg", "tabulate", "tqdm")),
    "yaml": "pyyaml",
}
WHOLE_MODULES = {
    "hydra": "hydra-core",
    **LIGHT_MODULES,
    **dict.fromkeys(("fvcore", "iopath", "matplotlib", "numba", "omegaconf")),
    **dict.fromkeys(("safetensors", "scipy")),
}
NEEDED_FORMATS = {"jpg": "JPEG", "zlib": "PNG"}
USEFUL_FORMATS = {"libtiff": "compressed TIFF", "webp": "WebP", "avif": "AVIF"}
GIGABYTE = 1e9
LITTLE_DISK, TOO_LITTLE_DISK = 5 * GIGABYTE, 0.2 * GIGABYTE
Status = Literal["ok", "note", "fault"]
Found: TypeAlias = tuple[Status, str] | tuple[Status, str, str]  # with what repairs it


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `doctor` to the command line."""
    summary = "say what is installed and what is missing"
    parser = add_command(subparsers, "doctor", run, summary, DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON document for programs")


def run(args: argparse.Namespace) -> int:
    """Examine and report; the exit status is 1 where there is a fault."""
    kind = "whole" if find_spec("torch") or find_spec("detectron2") else "light"
    light = kind == "light"  # it is asked only for what requirements/light.txt promises
    findings = [*check_packages(light=light), *check_machine(Path.cwd(), light=light)]
    faults = sum(finding.status == "fault" for finding in findings)
    if args.json:
        found = [dataclasses.asdict(one) for one in findings]
        document = {"kind": kind, "faults": faults, "findings": found}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return 1 if faults else 0
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        sys.stdout.write(f"{finding.status:<5}  {finding.name:<{width}}  {finding.text}\n")
        if finding.remedy:
            sys.stdout.write(f"{'':<{width + 9}}-> {finding.remedy}\n")
    sys.stdout.write(f"{faults} to be repaired\n" if faults else f"{CAN[kind]}\n")
    return 1 if faults else 0


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    name: str  # of what was looked at
    status: Status  # a note limits and does not hinder, a fault must be repaired
    text: str  # what was found
    remedy: str = ""  # the command or step that repairs it, or ""


def guarded(name: str, check: Callable[[], Found], *, remedy: str = "") -> Finding:
    """Run a check, which imports what it needs; whatever it raises is what it found."""
    try:
        return Finding(name, *check())
    except ModuleNotFoundError as error:
        return Finding(name, "fault", f"{error.name} is not installed", remedy)
    # A broken package can raise anything while it is imported; naming it is the point here.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        reason = (str(error).splitlines() or [""])[0]
        return Finding(name, "fault", f"does not work ({type(error).__name__}: {reason})", remedy)


def check_packages(*, light: bool = False) -> list[Finding]:
    """Examine Python and every package that acnet needs."""
    if light:
        text = "not installed; only training, fitting counts, export and reports need them"
        remedy = f"`pip install .` in a clone, and detectron2: {GET_DETECTRON2}"
        heavy = [Finding("torch, detectron2", "note", text, remedy)]
    else:
        heavy = [
            guarded("torch", _torch, remedy=_pip("torch")),
            guarded("torchvision", _torchvision, remedy=_pip("torchvision")),
            guarded("detectron2", _detectron2, remedy=GET_DETECTRON2),
            guarded("cv2", _cv2, remedy=_pip("opencv-python-headless")),
            guarded("pycocotools", _pycocotools, remedy=_pip("pycocotools")),
        ]
    return [
        guarded("python", _python),
        *heavy,
        guarded("engines", _engines, remedy=_pip("onnxruntime")),
        guarded("other packages", lambda: _others(LIGHT_MODULES if light else WHOLE_MODULES)),
    ]


def _pip(package: str) -> str:
    return f"`{sys.executable} -m pip install --force-reinstall {package}`, or {MAKE_ENV}"


def _python() -> Found:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, "
    text += f"acnet {acnet.__version__}"
    if sys.version_info < OLDEST_PYTHON:
        return "fault", text, "install Python 3.11 or 3.12"
    return "ok", text


def _torch() -> Found:
    import torch

    total = float(torch.ones(4).sum())
    if total != 4:
        raise ArithmeticError(f"a sum of four ones is {total}")
    return "ok", f"{torch.__version__}, {torch.get_num_threads()} threads"


def _torchvision() -> Found:
    import torch
    import torchvision

    # Boxes 0 and 1 are the same, so one of them goes.
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        raise ArithmeticError(f"its NMS keeps {kept} where [0, 2] is right")
    return "ok", f"{torchvision.__version__}, its ops work"


def _detectron2() -> Found:
    import detectron2
    from detectron2.modeling import GeneralizedRCNN

    text = f"{detectron2.__version__}, {GeneralizedRCNN.__name__} loads"
    try:
        import_module("detectron2._C")
    except ImportError:
        return "ok", f"{text}; its compiled part (_C) does not, and is not needed"
    return "ok", f"{text}, and its compiled part (_C) too, which is not needed"


def _cv2() -> Found:
    import cv2
    import numpy as np

    shape = cv2.resize(np.zeros((4, 4, 3), np.uint8), (2, 2)).shape
    if shape != (2, 2, 3):
        raise ArithmeticError(f"a resized picture has shape {shape}")
    return "ok", cv2.__version__


def _pycocotools() -> Found:
    from pycocotools import mask

    area = int(mask.area(mask.frPyObjects([[0, 0, 4, 0, 4, 4, 0, 4]], 8, 8))[0])
    if area != 16:
        raise ArithmeticError(f"the area of a 4 x 4 square is {area}")
    return "ok", _version("pycocotools")


def _engines() -> Found:
    """What can run exported models; those that are there must load."""
    from acnet.export.metadata import ENGINES

    found, missing = [], []
    for name, kind in ENGINES.items():
        if not kind.is_installed:
            missing.append(f"for {name}: {kind.remedy}")
            continue
        kind.import_package()
        found.append(name if kind.extra is None else f"{name} {_version(kind.package)}")
    if not found:
        raise ImportError("none is installed")
    return "note" if missing else "ok", f"{', '.join(found)} run models", "; ".join(missing)


def _others(modules: Mapping[str, str | None]) -> Found:
    broken = {}
    for module, package in modules.items():
        finding = guarded(module, lambda module=module: ("ok", import_module(module).__name__))
        if finding.status == "fault":
            text = finding.text
            broken[package or module] = text if text.startswith(module) else f"{module} {text}"
    if broken:
        return "fault", "; ".join(broken.values()), _pip(" ".join(broken))
    return "ok", f"{len(modules)} load"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "version unknown"


def check_machine(folder: Path, *, light: bool = False) -> list[Finding]:
    """Examine what does not come with a package, and the folder for results."""
    of_torch = {"GPU": _gpu, "bfloat16": _bfloat16} if not light else {}
    remedy = "repair torch and detectron2 first"
    return [
        *(guarded(name, check, remedy=remedy) for name, check in of_torch.items()),
        guarded("pictures", _pictures, remedy=f"install pillow anew, or {MAKE_ENV}"),
        guarded("disk", lambda: _disk(folder), remedy="choose another folder"),
        guarded("weights", _weights, remedy="repair safetensors and numpy first"),
    ]


def _gpu() -> Found:
    import torch

    if torch.cuda.is_available():
        devices = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        shown = ", ".join(f"{one.name} ({one.total_memory / GIGABYTE:.0f} GB)" for one in devices)
        return "ok", f"CUDA {torch.version.cuda}: {shown}"
    if Path("/dev/nvidia0").exists():
        remedy = "install the torch that fits the driver, see https://pytorch.org/get-started"
        return "fault", "there is one, and torch cannot use it", remedy
    return "note", "none; everything works on the CPU, more slowly"


def _bfloat16() -> Found:
    from acnet.engine.precision import cpu_has_bfloat16

    if cpu_has_bfloat16():
        return "ok", "this CPU computes in it, and is faster so"
    return "note", "not native to this CPU; float32 is used"


def _pictures() -> Found:
    import PIL
    from PIL import features

    from acnet.photos.read import register_plugins

    missing = [name for feature, name in NEEDED_FORMATS.items() if not features.check(feature)]
    if missing:
        text = f"pillow {PIL.__version__} cannot read {', '.join(missing)}"
        return "fault", text, "`pip install --force-reinstall pillow`"
    readable = {name: features.check(feature) for feature, name in USEFUL_FORMATS.items()}
    readable["HEIC"] = register_plugins()
    known = [*NEEDED_FORMATS.values(), *(name for name, can in readable.items() if can)]
    text = f"pillow {PIL.__version__} reads {', '.join(known)}"
    lacking = [name for name, can in readable.items() if not can]
    if not lacking:
        return "ok", text
    remedy = "for HEIC, photos of iPhones: `pip install pillow-heif`" if "HEIC" in lacking else ""
    return "note", f"{text}; not {', '.join(lacking)}", remedy


def _disk(folder: Path) -> Found:
    free = shutil.disk_usage(folder).free
    text = f"{free / GIGABYTE:.1f} GB free in {folder}"
    if free < TOO_LITTLE_DISK:
        return "fault", text, "make room"
    if free < LITTLE_DISK:
        return "note", f"{text}, which a training may fill"
    return "ok", text


def _weights() -> Found:
    from acnet.checkpoint.bundle import HOW_TO_GET, named_weights

    named = named_weights()
    if named:
        return "ok", f"by name: {', '.join(named)}"
    return "note", "none are bundled with this version", HOW_TO_GET
