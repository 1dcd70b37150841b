"""ACNet: acne detection with detectron2.

    import acnet

    predictor = acnet.load()
    lesions = predictor("photo.jpg")
    print(predictor.count("photo.jpg"))

What is named here is imported when it is first used, so that `import acnet` is instant.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acnet.inference.predictor import Predictor, load
    from acnet.photos.grid import TilingOptions
    from acnet.photos.instances import to_coco, to_supervision
    from acnet.photos.merge import MergeOptions

__version__ = "0.1.0"

# In a clone `acnet.peers` is beside the configs; a wheel has both in this package.
_PROJECT = Path(__file__).resolve().parents[1] / "projects" / "ACNet"
if (_PROJECT / "peers").is_dir():
    __path__.append(str(_PROJECT))

_PLACES = {
    "MergeOptions": "acnet.photos.merge",
    "Predictor": "acnet.inference.predictor",
    "TilingOptions": "acnet.photos.grid",
    "load": "acnet.inference.predictor",
    "to_coco": "acnet.photos.instances",
    "to_supervision": "acnet.photos.instances",
}
__all__ = ["MergeOptions", "Predictor", "TilingOptions", "load", "to_coco", "to_supervision"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'acnet' has no attribute {name!r}; it has {', '.join(_PLACES)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
