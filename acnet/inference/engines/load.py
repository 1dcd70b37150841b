"""Making an exported file ready to predict, with what it says about its input."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from detectron2.config import instantiate
from detectron2.data import transforms as T

from acnet.engine.precision import resolve_device
from acnet.errors import UserError
from acnet.export.contents import ExportSettings, export_config, read_export
from acnet.export.engine_names import choose_engine
from acnet.inference.engines.exported import ExportedEngine, Session

_AS_EXPORTED = ("config", "auto")  # as precision


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedModel:
    """An exported file that is ready to predict.

    Args:
        engine: that runs it.
        settings: of the file.
        input_format: "BGR" or "RGB".
        augmentations: what the config's test set does to a picture before the model sees it.
        class_names: by class index.
    """

    engine: ExportedEngine
    settings: ExportSettings
    input_format: str
    augmentations: list[T.Augmentation]
    class_names: list[str]


def load_exported_model(
    path: str | os.PathLike,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "config",
    trust_file: bool = False,
) -> ExportedModel:
    """Make an exported file ready.

    Args:
        path: of an .onnx or .pt2 file that `acnet export` wrote.
        engine: one of `acnet.export.engine_names.ENGINES`, or "auto".
        device: "auto" (a GPU for torch where there is one, else the CPU), or a name.
        precision: "config" or "auto" (as exported), or one that the engine can compute in.
        trust_file: whether a file may be loaded that can run code.

    Returns:
        The model.

    Raises:
        UserError: the file cannot be read, or the engine does not suit it or is not installed.
    """
    path = Path(path)
    name = choose_engine(engine, path)
    settings = read_export(path).settings
    cfg = export_config(path)
    chosen = settings.precision if precision in _AS_EXPORTED else precision
    _check_precision(name, chosen, settings.precision)
    session = _open(name, path, _device(name, device), chosen, trust_file)
    return ExportedModel(
        engine=ExportedEngine(session, settings),
        settings=settings,
        input_format=cfg.model.input_format,
        augmentations=list(instantiate(cfg.dataloader.test.mapper.augmentations)),
        class_names=list(cfg.class_names),
    )


def _open(name: str, path: Path, device: torch.device, precision: str, trust_file: bool) -> Session:
    """Import the one engine that is used; the packages of the others may be missing."""
    if name == "onnxruntime":
        from acnet.inference.engines.onnx_runtime import OnnxRuntimeSession

        return OnnxRuntimeSession(path, device)
    if name == "openvino":
        from acnet.inference.engines.openvino_runtime import OpenVinoSession

        return OpenVinoSession(path, device, precision)
    from acnet.inference.engines.torch_export import TorchExportSession

    return TorchExportSession(path, device, precision, trusted=trust_file)


def _device(engine: str, device: str) -> torch.device:
    # The usual packages of the other engines are for CPUs; a GPU is used where it is asked for.
    return resolve_device(device if engine == "torch-export" or device != "auto" else "cpu")


def _check_precision(engine: str, wanted: str, exported: str) -> None:
    able = {"openvino": ("float32", "bfloat16")}.get(engine, (exported,))
    if wanted not in able:
        raise UserError(
            f"The precision of an exported file is a part of it: {exported} here, and the engine "
            f"{engine} computes it in {' or '.join(able)}. Received --precision {wanted}; leave it "
            "out, or export the model in another precision."
        )
