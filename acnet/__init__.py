"""ACNet: acne detection with detectron2.

    import acnet

    predictor = acnet.Predictor("toy/acnet_r18", "model_final.pth")
    lesions = predictor("photo.jpg")

What is named here is imported when it is first used, so that `import acnet` is instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acnet.inference import MergeOptions, Predictor, TilingOptions

__version__ = "0.1.0"

__all__ = ["MergeOptions", "Predictor", "TilingOptions"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("acnet.inference"), name)
    raise AttributeError(f"module 'acnet' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
