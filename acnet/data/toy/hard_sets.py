"""Four generated test sets: a mixed one, and three that are each hard in one of the paper's ways.

Photo i of every set shows the same skin, spots, hair, light and camera, and one knob differs: so
the difference between two models, or between two sets, is paired photo by photo.
"""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.joined import JoinedSource
from acnet.data.layout import TOY_TESTS, PreparedLayout
from acnet.data.readers.acne04 import open_acne04
from acnet.data.toy.archive import write_toy_set
from acnet.data.toy.photo import ToyOptions

# What makes each set hard; the mixed one has the knobs of the photos that are trained on.
# NOT IN PAPER: it names the three difficulties and measures none of them apart.
HARDER: Mapping[str, Mapping[str, float]] = types.MappingProxyType(
    {
        "mixed": {},
        "colour": {"colour_shift": 3.0},  # casts and drifts three times as strong
        "scale": {"scale_spread": 1.4},  # 3.6 to 134 px rather than 6 to 80: 29 % outside
        "density": {"density": 3.0},  # 21 lesions a photo at the median, rather than 7
    }
)
SEED = 7


@dataclass(frozen=True, kw_only=True)
class ToyTests:
    """Which photos the four sets hold.

    Args:
        seed: of the scenes, shared by the four. Photos for training are drawn from one stream of
            random numbers and these from five (`ToyOptions.paired`), so no seed gives a photo of
            both.
        photos: of each set.
        size_px: side of the square photos.
    """

    seed: int = SEED
    photos: int = 100
    size_px: int = 320

    def options(self, name: str) -> ToyOptions:
        """Returns what decides the pixels of one set.

        Args:
            name: of `TOY_TESTS`.
        """
        mixed = ToyOptions(seed=self.seed, sizes_px=(self.size_px,), paired=True)
        return dataclasses.replace(mixed, **HARDER[name])


def write_toy_tests(
    layout: PreparedLayout,
    tests: ToyTests,
    *,
    workers: int,
    overwrite: bool = False,
    command: str = "",
) -> ImportedSet:
    """Draws the photos beside the prepared set, in ACNE04's layout, and imports them as its splits.

    What is complete already is left as it is.

    Args:
        layout: where the set goes: a missing or empty folder, or an earlier one. Its photos go to
            `photos_folder(layout)`.
        tests: which photos.
        workers: processes.
        overwrite: replace photos that other options made.
        command: that repeats this, for the manifest.

    Returns:
        The set as it was written; `TOY_TESTS` are its splits.

    Raises:
        UserError: one of the folders holds something else, or there are too few photos.
    """
    photos = photos_folder(layout)
    for name in TOY_TESTS:
        write_toy_set(
            photos / name,
            tests.options(name),
            photos=tests.photos,
            workers=workers,
            overwrite=overwrite,
        )
    source = JoinedSource(photos, {name: open_acne04(photos / name) for name in TOY_TESTS})
    return import_set(source, layout, ImportOptions(workers=workers, command=command))


def photos_folder(layout: PreparedLayout) -> Path:
    """Returns the folder of the drawn photos, beside the prepared set's.

    Args:
        layout: of the prepared set.
    """
    return layout.folder.with_name(f"{layout.prefix}_photos")
