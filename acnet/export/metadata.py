"""What an exported file says about itself, and which engines run it.

The texts are in the metadata of an ONNX file:

  format       "acnet export", and the texts of a bundle (see `acnet.checkpoint.bundle`)
  export       JSON of `ExportSettings`
  input        JSON for programs without acnet: channel order, mean, deviation, how to pad

So model, config and engine cannot be mismatched. Files come from anybody: reading the texts runs no
code, reads no model, and needs neither torch nor the onnx package.
"""

import dataclasses
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from acnet.errors import UserError
from acnet.export.protobuf import read_texts

if TYPE_CHECKING:
    from acnet.checkpoint.bundle import Bundle

ONNX = ".onnx"
INPUT_NAMES = ("images", "sizes_hw", "parts_xyxy")
OUTPUT_NAMES = ("boxes", "scores", "classes")
FORMAT = "acnet export"
MOST_TILE_PX = 8192
MOST_BATCH = 1024
MOST_BATCH_PIXELS = 1 << 28  # of all tiles together: 800 MB as bytes, 3 GB as float32


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """An engine."""

    suffix: str | None  # of the files that it runs; None for weights of every kind
    package: str  # that must be importable
    # Of acnet, that installs the package; None where acnet needs it anyway.
    extra: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether its package is there; it is not imported."""
        return find_spec(self.package) is not None

    def import_package(self) -> ModuleType:
        """Import the package, and keep it from telling others about it."""
        # ONNX Runtime sends names and hashes of models to its makers unless this is set before.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        return importlib.import_module(self.package)

    @property
    def remedy(self) -> str:
        """What installs it."""
        if self.extra is None:
            return "install torch and detectron2, by `make env` or as the README says"
        return f"`pip install {self.package}`, or acnet with its extra [{self.extra}]"


# The first of a suffix is taken where none is asked for.
ENGINES = {
    "eager": EngineKind(suffix=None, package="detectron2"),  # which is nothing without torch
    "onnxruntime": EngineKind(suffix=ONNX, package="onnxruntime", extra="export"),
    "openvino": EngineKind(suffix=ONNX, package="openvino", extra="openvino"),
}


def choose_engine(name: str, weights: str | os.PathLike) -> str:
    """Find the engine for a weights file.

    Raises:
        UserError: the name is neither in `ENGINES` nor "auto", or the engine does not run such
            files, or is not installed.

    Example:
        choose_engine("auto", "model.onnx")  # "onnxruntime"
    """
    if name not in ("auto", *ENGINES):
        raise UserError(
            f"An engine is one of auto, {', '.join(ENGINES)}. Received {name!r}; choose of these."
        )
    suffix = ONNX if Path(weights).suffix == ONNX else None
    fitting = [one for one, kind in ENGINES.items() if kind.suffix == suffix]
    chosen = fitting[0] if name == "auto" else name
    if chosen not in fitting:
        raise UserError(_mismatch(chosen, weights, fitting))
    if not ENGINES[chosen].is_installed:
        raise UserError(
            f"The engine {chosen} is a package of its own. Received {weights}, and it is not "
            f"installed here: {ENGINES[chosen].remedy}."
        )
    return chosen


def _mismatch(chosen: str, weights: str | os.PathLike, fitting: list[str]) -> str:
    wanted = ENGINES[chosen].suffix
    if wanted is None:
        return (
            "The eager engine runs the model itself, from a checkpoint or bundle of weights. "
            f"Received --engine {chosen} with {weights}; leave --engine out, or choose "
            f"{' or '.join(fitting)} for this file."
        )
    return (
        f"The engine {chosen} runs {wanted} files, which `acnet export` writes. Received --engine "
        f"{chosen} with {weights}; run `acnet export {weights} --output model{wanted}` first, and "
        "give that file."
    )


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How a model was exported."""

    name: str  # of the weights file and its config, for people
    tile_px: int  # side of the square tiles that it takes
    batch: int  # tiles that it takes at once; 0 for any number
    weights_sha256: str  # of the weights file
    versions: Mapping[str, str]  # of the packages that made it, by name


def check_size(tile_px: int, batch: int) -> str | None:
    """Return what is wrong with a size of tiles and their number at once, or None."""
    if not 1 <= tile_px <= MOST_TILE_PX:
        return f"tiles of {tile_px} pixels, where 1 to {MOST_TILE_PX} are possible"
    if not 0 <= batch <= MOST_BATCH or batch * tile_px**2 > MOST_BATCH_PIXELS:
        return f"{batch} tiles of {tile_px} pixels at once, which is too much for any machine"
    return None


def read_export(path: str | os.PathLike) -> "Bundle":
    """Read what an exported file says, without building or running its model.

    Raises:
        UserError: it cannot be read, was made by another program, or is of another version.

    Example:
        read_export("model.onnx").class_names  # ("acne",)
    """
    from acnet.checkpoint.bundle import parse_bundle

    path = Path(path)
    texts = read_texts(path)
    unusable = partial(_unusable, path)
    if texts.get("format") != FORMAT:
        raise unusable("which another program made")
    bundle = parse_bundle(texts, source=str(path), unusable=unusable, also=["export"])
    return dataclasses.replace(bundle, settings=_settings(path, texts["export"]))


def _settings(path: Path, text: str) -> ExportSettings:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise _unusable(path, f"whose export is {text[:40]!r}")
    if values.get("soft_nms", "inside") != "inside" or values.get("precision") == "bfloat16":
        raise _unusable(path, "which an earlier version made without Soft-NMS or in bfloat16")
    fields = [field.name for field in dataclasses.fields(ExportSettings)]
    missing = [name for name in fields if name not in values]
    if missing:
        raise _unusable(path, f"in whose settings {', '.join(sorted(missing))} is missing")
    settings = ExportSettings(**{name: values[name] for name in fields})
    kinds = {"name": str, "tile_px": int, "batch": int, "weights_sha256": str, "versions": dict}
    for name, kind in kinds.items():
        if type(values[name]) is not kind:  # True is no number here
            raise _unusable(path, f"in whose settings {name} is {str(values[name])[:40]!r}")
    fault = check_size(settings.tile_px, settings.batch)
    if fault:
        raise _unusable(path, f"in whose settings are {fault}")
    return settings


def _unusable(path: Path, fault: str) -> UserError:
    return UserError(
        "An exported model says itself what it takes and gives, so that nothing is guessed. "
        f"Received {path}, {fault}; make it by `acnet export WEIGHTS --output FILE`."
    )
