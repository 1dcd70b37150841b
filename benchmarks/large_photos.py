"""Generated photos of ACNE04's usual size, for the benchmarks of data."""

from pathlib import Path

from acnet.data.import_set import ImportedSet, ImportOptions, import_set
from acnet.data.parallel import default_workers
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.acne04 import open_acne04
from acnet.data.toy.toy_photo import ToyOptions
from acnet.data.toy.toy_set import write_toy_set

TOY = ToyOptions(sizes_px=((3112, 3456),), lesion_px=(20.0, 300.0), density=2.0)
SPLITS = ("trainval_0", "test_0")  # together all photos
FEWEST_PHOTOS = 5  # that a toy set has


def draw_and_import(work: Path, photos: int, name: str) -> ImportedSet:
    """Draws photos, unless they are there, and imports them.

    Args:
        work: folder for everything.
        photos: how many, at least 5; a photo takes about 6 s of a core.
        name: of the prepared set's folder below `work`.

    Returns:
        The prepared set, with the splits of SPLITS.
    """
    source = work / f"photos_{photos}"
    write_toy_set(source, TOY, photos=photos, workers=default_workers())
    layout = PreparedLayout.of_folder(work / name)
    return import_set(open_acne04(source), layout, ImportOptions(splits=SPLITS))
