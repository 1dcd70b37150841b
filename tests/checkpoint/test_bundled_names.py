"""Weights by name, by path, and by default."""

import pytest

from acnet.checkpoint import bundle
from acnet.checkpoint.bundle import resolve_weights
from acnet.errors import UserError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return two empty folders for bundled weights."""
    both = (tmp_path / "package", tmp_path / "clone")
    for folder in both:
        folder.mkdir()
    monkeypatch.setattr(bundle, "FOLDERS", both)
    return both


def test_where_none_are_bundled_the_error_says_how_to_get_some(folders):
    with pytest.raises(UserError, match=r"none are bundled.*make demo.*or give --weights FILE\."):
        resolve_weights(None)
    with pytest.raises(UserError, match=r"--weights small, where there is no file; none are"):
        resolve_weights("small")


def test_a_path_comes_first(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folders[0] / "small.safetensors").touch()
    assert resolve_weights("small") == folders[0] / "small.safetensors"
    (tmp_path / "small").touch()
    assert str(resolve_weights("small")) == "small"


def test_an_unknown_name_is_answered_by_those_that_there_are(folders):
    (folders[0] / "small.safetensors").touch()
    (folders[1] / "large.safetensors").touch()
    with pytest.raises(UserError, match="the bundled ones are large, small"):
        resolve_weights("medium")


def test_the_only_one_is_the_default(folders):
    (folders[1] / "small.safetensors").touch()
    assert resolve_weights(None) == folders[1] / "small.safetensors"


def test_of_several_the_one_called_default_is(folders):
    for name in ("a", "default", "z"):
        (folders[0] / f"{name}.safetensors").touch()
    assert resolve_weights(None) == folders[0] / "default.safetensors"
    (folders[0] / "default.safetensors").unlink()
    with pytest.raises(UserError, match="ones are a, z"):
        resolve_weights(None)


def test_the_installed_one_hides_the_clones(folders):
    for folder in folders:
        (folder / "same.safetensors").touch()
    assert resolve_weights("same") == folders[0] / "same.safetensors"
