"""Weights with all that gives them a meaning, in one safetensors file; and those that are bundled.

The tensors are the model's state dict. Everything else is text in the file's metadata, which
safetensors keeps in front and which can be read without a single tensor:

  format       "acnet bundle", and `version`
  config       yaml of the model and of what prediction needs
  classes      JSON list of names, by class index
  count_model  JSON as `acnet calibrate` writes it; absent where counts were not fitted
  card         Markdown for people: what it is, from which data, under which licence
  sha256       of all the rest of the file; absent in bundles of earlier versions
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import acnet
from acnet.config import prediction_config
from acnet.errors import UserError, printable
from acnet.evaluation.count_model import CountModel, parse_count_model
from acnet.files import BLOCK_BYTES, atomic_write
from acnet.safe_config import check_class_names, parse_saved_config

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

    from acnet.export.metadata import ExportSettings

FORMAT = "acnet bundle"
VERSION = "1"
SUFFIX = ".safetensors"
LENGTH_BYTES = 8  # in front of the header
MAX_HEADER_BYTES = 20_000_000

DEFAULT = "default"
FOLDERS = (  # of bundled weights: as installed, and in a clone
    Path(acnet.__file__).parent / "weights",
    Path(acnet.__file__).parents[1] / "weights",
)
HOW_TO_GET = (
    "train a small model by `make demo`, which leaves output/demo/run/model_final.pth, or give "
    "--weights FILE"
)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a file of weights, or an exported model, says about itself."""

    config: str  # yaml of the model and of what prediction needs
    class_names: tuple[str, ...]  # by class index
    count_model: CountModel | None  # that was fitted to this model, or None
    card: str  # Markdown for people
    settings: "ExportSettings | None" = None  # how the model was exported; None for weights

    def texts(self, format_name: str) -> dict[str, str]:
        """Return the texts that a file of a format carries, by name; see `parse_bundle`."""
        texts = {
            "format": format_name,
            "version": VERSION,
            "config": self.config,
            "classes": json.dumps(self.class_names, ensure_ascii=False),
            "card": self.card,
        }
        if self.count_model is not None:
            texts["count_model"] = self.count_model.to_json()
        return texts


def write_bundle(path: Path, state: "Mapping[str, torch.Tensor]", bundle: Bundle) -> None:
    """Write a bundle, whole or not at all; equal content gives equal bytes.

    Raises:
        UserError: The path ends in something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    check_suffix(path)
    texts = {**bundle.texts(FORMAT), "sha256": "0" * 64}  # until the rest is written
    tensors = {name: state[name].detach().cpu().contiguous().clone() for name in sorted(state)}
    with atomic_write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(tensors, temporary, metadata=texts)
        except SafetensorError as error:  # of a disk, since the tensors are as they must be
            raise OSError(f"{error}") from error
        temporary.chmod(mode)  # safetensors lets the owner alone read it
        _finish_header(temporary)


def check_suffix(path: Path) -> None:
    """Refuse a path that would not be recognized as a bundle."""
    if path.suffix != SUFFIX:
        raise UserError(
            f"A bundle is a safetensors file, and is known by its ending. Received {path}; "
            f"name it {path.with_suffix(SUFFIX).name}."
        )


def is_bundle(path: str | os.PathLike) -> bool:
    """Tell whether a file is a bundle, of any version."""
    return _metadata(Path(path)).get("format") == FORMAT if Path(path).suffix == SUFFIX else False


def read_bundle(path: str | os.PathLike) -> Bundle:
    """Read what a bundle says, without its tensors.

    Raises:
        UserError: It is no bundle, of another version, or incomplete.
    """
    path = Path(path)
    texts = _metadata(path)

    def unusable(fault: str) -> UserError:
        return UserError(
            "A bundle holds weights with their config, so that the two always fit. Received "
            f"{path}, {fault}; make it by `acnet weights pack RUN_DIR FILE.safetensors`."
        )

    if texts.get("format") != FORMAT:
        raise unusable("which holds no config")
    return parse_bundle(texts, source=str(path), unusable=unusable)


def parse_bundle(
    texts: Mapping[str, str],
    *,
    source: str,
    unusable: Callable[[str], UserError],
    also: Sequence[str] = (),
) -> Bundle:
    """Check the texts that a file from anybody carries, and take a bundle out of them.

    Raises:
        UserError: They are of another version, or lack one, `also` among them; `unusable` makes
            the error of what is wrong.
    """
    if texts.get("version") != VERSION:
        raise unusable(f"of version {texts.get('version')!r}, where {VERSION} is known")
    missing = {"config", "classes", "card", *also} - texts.keys()
    if missing:
        raise unusable(f"without {', '.join(sorted(missing))}")
    try:
        names: Any = json.loads(texts["classes"])
    except (ValueError, RecursionError):
        names = texts["classes"]
    count_model = texts.get("count_model")
    return Bundle(
        config=texts["config"],
        class_names=check_class_names(names, source=source),
        count_model=None if count_model is None else parse_count_model(count_model, source=source),
        card=printable(texts["card"]),
    )


def tensor_summary(path: str | os.PathLike) -> dict[str, int]:
    """Return how many numbers of each type a safetensors file holds, by the type's name."""
    import safetensors

    numbers: dict[str, int] = {}
    try:
        with safetensors.safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                part = file.get_slice(name)
                kind = str(part.get_dtype())
                numbers[kind] = numbers.get(kind, 0) + math.prod(part.get_shape())
    except safetensors.SafetensorError as error:
        raise _unreadable(Path(path), error) from error
    return dict(sorted(numbers.items()))


def make_bundle(
    cfg: "DictConfig",
    model: "torch.nn.Module",
    class_names: Sequence[str],
    *,
    count_model: CountModel | None = None,
    card: str | None = None,
    half: bool = False,
) -> "tuple[dict[str, torch.Tensor], Bundle]":
    """Gather what `write_bundle` takes of a model; `half` stores float32 tensors in float16.

    Raises:
        UserError: The config could not be read again, since it builds what is no part of a
            detector of acnet or detectron2.
    """
    config = prediction_config(cfg)
    parse_saved_config(config, source="the training's config")
    state = dict(model.state_dict())
    bundle = Bundle(
        config=config,
        class_names=tuple(class_names),
        count_model=count_model,
        card=card or make_card(model, class_names, count_model, half=half),
    )
    return halve(state) if half else state, bundle


def halve(state: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Return float32 tensors in float16, except where that would overflow."""
    import torch

    halved = {}
    for name, tensor in state.items():
        half = tensor.half() if tensor.dtype == torch.float32 else tensor
        halved[name] = half if half.isfinite().all() else tensor
    return halved


def make_card(
    model: "torch.nn.Module",
    class_names: Sequence[str],
    count_model: CountModel | None,
    *,
    half: bool,
) -> str:
    """Write the card of a model that brings none of its own."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    counts = (
        "not fitted; counts need a --score-threshold, and have neither interval nor grade"
        if count_model is None
        else f"score {count_model.threshold:.3f} or more, merged by {count_model.merge}; intervals "
        f"of {count_model.coverage:.0%} from {count_model.interval_photos} photos; of "
        f"{count_model.counted}{'' if count_model.has_grade else ', so without grade'}"
    )
    return (
        "# ACNet\n\n"
        "For research only. Not a medical device.\n\n"
        f"- classes: {', '.join(class_names)}\n"
        f"- parameters: {parameters:,}, stored in {'float16' if half else 'float32'}\n"
        f"- counting: {counts}\n"
        f"- packed by acnet {acnet.__version__}\n"
        "- training data, licence and measured accuracy: not stated\n"
    )


def named_weights() -> dict[str, Path]:
    """Return the bundled weights' files by name, sorted."""
    files = [path for folder in reversed(FOLDERS) for path in folder.glob(f"*{SUFFIX}")]
    return dict(sorted((path.stem, path) for path in files))


def resolve_weights(name_or_path: str | os.PathLike | None) -> Path:
    """Find a weights file by its path, or bundled weights by their name.

    None stands for the bundled default, which is the one called so or the only one.

    Raises:
        UserError: There is no such file, or no default.
    """
    named = named_weights()
    if name_or_path is None:
        default = named.get(DEFAULT) or (next(iter(named.values())) if len(named) == 1 else None)
        if default is None:
            raise UserError(
                f"A prediction needs trained weights. Received no --weights; {_there_is(named)}. "
                f"To get some, {HOW_TO_GET}."
            )
        return default
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in named:
        return named[str(name_or_path)]
    raise UserError(
        "A prediction needs trained weights: a file, such as the model_best.pth of a training, or "
        f"a name. Received --weights {name_or_path}, where there is no file; {_there_is(named)}. "
        f"To get some, {HOW_TO_GET}."
    )


def _there_is(named: dict[str, Path]) -> str:
    if not named:
        return "none are bundled with this version"
    return f"the bundled ones are {', '.join(named)}"


def _finish_header(path: Path) -> None:
    """Bring the header, a JSON in safetensors' changing order, into a fixed one with the hash."""
    with path.open("r+b") as file:
        length, header = _read_header(file)
        header["__metadata__"]["sha256"] = _sha256(file, header)
        file.seek(LENGTH_BYTES)
        file.write(_header_text(header).ljust(length))


def check_sha256(path: str | os.PathLike) -> None:
    """Raise a ValueError for a bundle of which a byte has changed since it was written."""
    with Path(path).open("rb") as file:
        header = _read_header(file)[1]
        expected = header.get("__metadata__", {}).get("sha256")
        if expected is not None and expected != _sha256(file, header):
            raise ValueError("bytes of it have changed since it was packed")


def _read_header(file: BinaryIO) -> tuple[int, dict[str, Any]]:
    (length,) = struct.unpack("<Q", file.read(LENGTH_BYTES))
    if not 0 < length <= MAX_HEADER_BYTES:
        raise ValueError(f"its header would have {length:,} bytes")
    return length, json.loads(file.read(length))


def _header_text(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _sha256(file: BinaryIO, header: dict[str, Any]) -> str:
    """Hash the tensors, at which the file stands, and a header but for its own hash."""
    texts = {name: text for name, text in header["__metadata__"].items() if name != "sha256"}
    digest = hashlib.sha256(_header_text({**header, "__metadata__": texts}))
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise UserError(
            f"A bundle is a file. Received {path}, where there is none; check its spelling."
        )
    try:
        with path.open("rb") as file:
            texts = _read_header(file)[1].get("__metadata__", {})
            if not all(isinstance(text, str) for text in texts.values()):
                raise ValueError("its metadata is no text")
            return texts
    except (OSError, ValueError, AttributeError, RecursionError, struct.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"A bundle is a safetensors file, made by `acnet weights pack`. Received {path}, "
        f"which cannot be read ({str(error)[:200]}); download or copy it again."
    )
