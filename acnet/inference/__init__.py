"""From photos to boxes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acnet.inference.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> object:
    """Import the predictor, and torch with it, when it is first asked for."""
    if name == "Predictor":
        from acnet.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
