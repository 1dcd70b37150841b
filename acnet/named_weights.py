"""Weights that come along with acnet, by name."""

import os
from pathlib import Path

import acnet
from acnet.errors import UserError

SUFFIX = ".safetensors"
DEFAULT = "default"
PACKAGE = Path(acnet.__file__).parent
FOLDERS = (  # as installed, and in a clone
    PACKAGE / "weights",
    PACKAGE.parent / "weights",
)
HOW_TO_GET = (
    "train a small model by `make demo`, which leaves output/demo/run/model_final.pth, or give "
    "--weights FILE"
)


def named_weights() -> dict[str, Path]:
    """Return the bundled weights' files by name, sorted."""
    files = [path for folder in reversed(FOLDERS) for path in folder.glob(f"*{SUFFIX}")]
    return dict(sorted((path.stem, path) for path in files))


def resolve_weights(name_or_path: str | os.PathLike | None) -> Path:
    """Find a weights file.

    Args:
        name_or_path: A path, or the name of bundled weights; None for the bundled default, which is
            the one called so or the only one.

    Returns:
        The file.

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
        return "none come along with this version"
    return f"these come along by name: {', '.join(named)}"
