"""What an exported file says about itself, so that model, config and engine cannot be mismatched.

The texts are in the metadata of an ONNX file, and beside the program in a .pt2 archive:

  format       "acnet export", and `version`
  config       yaml of the model and of what prediction needs
  classes      JSON list of names, by class index
  count_model  JSON as `acnet calibrate` writes it; absent where counts were not fitted
  card         Markdown for people
  export       JSON of `ExportSettings`
  input        JSON for programs without acnet: channel order, mean, deviation, how to pad

Reading them runs no code.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from acnet.checkpoint.bundle import Bundle, is_bundle, read_bundle
from acnet.errors import UserError
from acnet.evaluation.count_model import parse_count_model
from acnet.export.onnx_metadata import read_onnx_metadata
from acnet.export.pt2_metadata import read_pt2_metadata
from acnet.export.suffixes import ONNX, PT2, is_export
from acnet.safe_config import parse_saved_config

FORMAT = "acnet export"
VERSION = "1"
READERS = {ONNX: read_onnx_metadata, PT2: read_pt2_metadata}
SOFT_NMS = ("inside", "outside")
HOW_TO_MAKE = "make it by `acnet export WEIGHTS --output FILE`"


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How a model was exported.

    Args:
        name: of the weights file and its config, for people.
        tile_px: side of the square tiles that it takes.
        batch: tiles that it takes at once; 0 for any number.
        soft_nms: "inside", or "outside": whoever runs it thins the candidates out.
        decay: arguments of `acnet.layers.soft_nms`, by name.
        precision: "float32" or "bfloat16".
        weights_sha256: of the weights file.
        versions: of the packages that made it, by name.
    """

    name: str
    tile_px: int
    batch: int
    soft_nms: str
    decay: Mapping[str, Any]
    precision: str
    weights_sha256: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ExportContents:
    """All texts of an exported file.

    Args:
        bundle: config, class names, count model and card, as a bundle of weights has them.
        settings: how it was exported.
    """

    bundle: Bundle
    settings: ExportSettings

    def to_texts(self) -> dict[str, str]:
        """Return the texts to store, by name."""
        cfg = parse_saved_config(self.bundle.config, source="the config")
        texts = {
            "format": FORMAT,
            "version": VERSION,
            "config": self.bundle.config,
            "classes": json.dumps(self.bundle.class_names, ensure_ascii=False),
            "card": self.bundle.card,
            "export": json.dumps(dataclasses.asdict(self.settings), sort_keys=True),
            "input": json.dumps(_input_for_programs(cfg, self.settings.tile_px)),
        }
        if self.bundle.count_model is not None:
            texts["count_model"] = self.bundle.count_model.to_json()
        return texts


def read_export(path: str | os.PathLike) -> ExportContents:
    """Read what an exported file says, without building or running its model.

    Args:
        path: of the file.

    Returns:
        Its texts, checked.

    Raises:
        UserError: it cannot be read, was made by another program, or is of another version.
    """
    path = Path(path)
    texts = READERS[path.suffix](path)
    if texts.get("format") != FORMAT:
        raise _unusable(path, "which another program made")
    if texts.get("version") != VERSION:
        raise _unusable(path, f"of version {texts.get('version')!r}, where {VERSION} is known")
    missing = {"config", "classes", "card", "export"} - texts.keys()
    if missing:
        raise _unusable(path, f"without {', '.join(sorted(missing))}")
    count_model = texts.get("count_model")
    bundle = Bundle(
        config=texts["config"],
        class_names=tuple(_parse(path, "classes", texts["classes"], list)),
        count_model=parse_count_model(count_model, source=str(path)) if count_model else None,
        card=texts["card"],
    )
    return ExportContents(bundle=bundle, settings=_settings(path, texts["export"]))


def export_config(path: str | os.PathLike) -> DictConfig:
    """Return an exported file's config, read as safely as a saved one.

    Raises:
        UserError: as `read_export`, or the config builds what is no part of a detector.
    """
    bundle = read_export(path).bundle
    cfg = parse_saved_config(bundle.config, source=str(path))
    cfg.class_names = list(bundle.class_names)
    return cfg


def texts_beside(path: Path) -> Bundle | None:
    """Return what a bundle or an exported file says beside its numbers, or None for a checkpoint.

    Raises:
        UserError: the file cannot be read.
    """
    if is_export(path):
        return read_export(path).bundle
    return read_bundle(path) if is_bundle(path) else None


def _input_for_programs(cfg: DictConfig, tile_px: int) -> dict[str, Any]:
    return {
        "images": f"(B, 3, {tile_px}, {tile_px}) uint8, {cfg.model.input_format}; smaller pictures "
        "at the top left; the file normalises them itself",
        "sizes_hw": "(B, 2) float32, height and width of the picture in each tile",
        "parts_xyxy": "(B, 4) float32, where centres of detections are wanted; 0 0 width height "
        "for all",
        "input_format": cfg.model.input_format,
        "pixel_mean": list(cfg.model.pixel_mean),
        "pixel_std": list(cfg.model.pixel_std),
        "outputs": "boxes (B, N, 4) XYXY pixels, scores (B, N), classes (B, N); a score of -1 "
        "marks a place without a detection",
    }


def _settings(path: Path, text: str) -> ExportSettings:
    values = _parse(path, "export", text, dict)
    fields = {field.name for field in dataclasses.fields(ExportSettings)}
    if values.keys() != fields:
        odd = sorted(values.keys() ^ fields)
        raise _unusable(path, f"in whose settings {', '.join(odd)} is missing or unknown")
    settings = ExportSettings(**values)
    numbers = (settings.tile_px, settings.batch)
    if any(type(number) is not int for number in numbers) or settings.tile_px < 1:
        raise _unusable(path, f"in whose settings tile and batch are {numbers}")
    if settings.soft_nms not in SOFT_NMS or not isinstance(settings.decay, dict):
        raise _unusable(path, f"in whose settings soft_nms is {settings.soft_nms!r}")
    return settings


def _parse(path: Path, name: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind) or not all(isinstance(one, str) for one in value):
        raise _unusable(path, f"whose {name} is {text[:40]!r}")
    return value


def _unusable(path: Path, fault: str) -> UserError:
    return UserError(
        "An exported model says itself what it takes and gives, so that nothing is guessed. "
        f"Received {path}, {fault}; {HOW_TO_MAKE}."
    )
