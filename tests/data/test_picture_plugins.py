"""HEIC where pillow-heif is installed, and the remedy where it is not."""

import numpy as np
import pytest
from PIL import Image

from acnet.data import images, picture_plugins
from acnet.data.images import read_size
from acnet.errors import UnreadableFileError
from acnet.inference.photos import read_photo


def test_without_the_plugin_heic_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "register_plugins", _not_installed)
    (tmp_path / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(40))
    with pytest.raises(UnreadableFileError, match="pip install pillow-heif"):
        read_size(tmp_path / "photo.heic")


def _not_installed() -> bool:
    return False


def test_heic_is_read(tmp_path):
    pytest.importorskip("pillow_heif", reason="needs pillow-heif: pip install acnet[heic]")
    assert picture_plugins.register_plugins()
    image = Image.new("RGB", (64, 48), (40, 40, 40))
    image.paste((255, 255, 255), (0, 0, 16, 16))
    path = tmp_path / "photo.heic"
    image.save(path, quality=90)
    assert read_size(path) == (48, 64)
    found = read_photo(path)
    assert found.shape == (48, 64, 3)
    np.testing.assert_allclose(found[4:12, 4:12], 255, atol=12)
    np.testing.assert_allclose(found[30:, 40:], 40, atol=12)
