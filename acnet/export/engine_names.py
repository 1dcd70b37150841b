"""The engines by name: what each runs, and where it comes from."""

import importlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from acnet.errors import UserError
from acnet.export.suffixes import EXPORT_SUFFIXES, ONNX, PT2


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """An engine.

    Args:
        suffix: of the files that it runs; None for weights of every kind.
        package: that must be importable.
        extra: of acnet, that installs the package; None where acnet needs it anyway.
    """

    suffix: str | None
    package: str
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
        """The command that installs it."""
        return f"`pip install {self.package}`, or acnet with its extra [{self.extra}]"


# The first of a suffix is taken where none is asked for.
ENGINES = {
    "eager": EngineKind(suffix=None, package="torch"),
    "onnxruntime": EngineKind(suffix=ONNX, package="onnxruntime", extra="export"),
    "torch-export": EngineKind(suffix=PT2, package="torch"),
    "openvino": EngineKind(suffix=ONNX, package="openvino", extra="openvino"),
}


def choose_engine(name: str, weights: str | os.PathLike) -> str:
    """Find the engine for a weights file.

    Args:
        name: one of `ENGINES`, or "auto".
        weights: the file.

    Returns:
        Its name.

    Raises:
        UserError: the name is unknown, the engine does not run such files, or is not installed.
    """
    if name not in ("auto", *ENGINES):
        raise UserError(
            f"An engine is one of auto, {', '.join(ENGINES)}. Received {name!r}; choose of these."
        )
    suffix = Path(weights).suffix if Path(weights).suffix in EXPORT_SUFFIXES else None
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
        rule = "The eager engine runs the model itself, from a checkpoint or bundle of weights"
    else:
        rule = f"The engine {chosen} runs {wanted} files, which `acnet export` writes"
    remedy = f"leave --engine out, or choose {' or '.join(fitting)} for this file"
    if wanted is not None and fitting == ["eager"]:
        remedy = f"run `acnet export {weights} --output model{wanted}` first, and give that file"
    return f"{rule}. Received --engine {chosen} with {weights}; {remedy}."
