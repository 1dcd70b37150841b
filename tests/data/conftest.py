"""Generated photos, drawn once for all tests of acnet.data."""

from pathlib import Path

import pytest

from acnet.data.toy.toy_set import write_toy_set
from tests.data.samples import TOY_COUNT, TOY_OPTIONS


@pytest.fixture(scope="session")
def toy_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten generated photos of 96 and 128 pixels in ACNE04's layout; not to be changed."""
    dst = tmp_path_factory.mktemp("toy") / "photos"
    write_toy_set(dst, TOY_OPTIONS, photos=TOY_COUNT, workers=1)
    return dst
