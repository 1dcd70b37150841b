"""What the machine offers: GPUs, bfloat16, pictures, disk space, weights."""

import shutil
from pathlib import Path

from acnet.doctor.finding import Finding, guarded
from acnet.doctor.packages import MAKE_ENV
from acnet.named_weights import HOW_TO_GET, named_weights

NEEDED_FORMATS = {"jpg": "JPEG", "zlib": "PNG"}
USEFUL_FORMATS = {"libtiff": "compressed TIFF", "webp": "WebP", "avif": "AVIF"}
GIGABYTE = 1e9
LITTLE_DISK, TOO_LITTLE_DISK = 5 * GIGABYTE, 0.2 * GIGABYTE


def check_machine(folder: Path) -> list[Finding]:
    """Examine what does not come with a package.

    Args:
        folder: Where results are to be written.
    """
    return [
        guarded("GPU", _gpu, remedy="mend torch first"),
        guarded("bfloat16", _bfloat16, remedy="mend torch and detectron2 first"),
        guarded("pictures", _pictures, remedy=f"install pillow anew, or {MAKE_ENV}"),
        guarded("disk", lambda: _disk(folder), remedy="choose another folder"),
        _weights(),
    ]


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        devices = [
            torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())
        ]
        shown = ", ".join(f"{one.name} ({one.total_memory / GIGABYTE:.0f} GB)" for one in devices)
        return Finding(name="GPU", status="ok", text=f"CUDA {torch.version.cuda}: {shown}")
    if Path("/dev/nvidia0").exists():
        return Finding(
            name="GPU",
            status="fault",
            text="there is one, and torch cannot use it",
            remedy="install the torch that fits the driver, see https://pytorch.org/get-started",
        )
    return Finding(name="GPU", status="note", text="none; everything works on the CPU, more slowly")


def _bfloat16() -> Finding:
    from acnet.engine.precision import cpu_has_bfloat16

    if cpu_has_bfloat16():
        return Finding(
            name="bfloat16", status="ok", text="this CPU computes in it, and is faster so"
        )
    return Finding(name="bfloat16", status="note", text="not native to this CPU; float32 is used")


def _pictures() -> Finding:
    import PIL
    from PIL import features

    from acnet.data.picture_plugins import register_plugins

    missing = [name for feature, name in NEEDED_FORMATS.items() if not features.check(feature)]
    if missing:
        return Finding(
            name="pictures",
            status="fault",
            text=f"pillow {PIL.__version__} cannot read {', '.join(missing)}",
            remedy="`pip install --force-reinstall pillow`",
        )
    readable = {name: features.check(feature) for feature, name in USEFUL_FORMATS.items()}
    readable["HEIC"] = register_plugins()
    known = [*NEEDED_FORMATS.values(), *(name for name, can in readable.items() if can)]
    text = f"pillow {PIL.__version__} reads {', '.join(known)}"
    lacking = [name for name, can in readable.items() if not can]
    if not lacking:
        return Finding(name="pictures", status="ok", text=text)
    return Finding(
        name="pictures",
        status="note",
        text=f"{text}; not {', '.join(lacking)}",
        remedy="for HEIC, photos of iPhones: `pip install pillow-heif`"
        if "HEIC" in lacking
        else "",
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / GIGABYTE:.1f} GB free in {folder}"
    if free < TOO_LITTLE_DISK:
        return Finding(name="disk", status="fault", text=text, remedy="make room")
    if free < LITTLE_DISK:
        return Finding(name="disk", status="note", text=f"{text}, which a training may fill")
    return Finding(name="disk", status="ok", text=text)


def _weights() -> Finding:
    named = named_weights()
    if named:
        return Finding(name="weights", status="ok", text=f"by name: {', '.join(named)}")
    text = "none come along with this version"
    return Finding(name="weights", status="note", text=text, remedy=HOW_TO_GET)
