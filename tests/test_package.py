"""The public names of `acnet` are there when they are used."""

import pytest

import acnet


def test_every_name_is_there():
    assert acnet.load.__name__ == "load"
    assert [getattr(acnet, name).__name__ for name in acnet.__all__] == acnet.__all__


def test_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match="it has MergeOptions, Predictor, TilingOptions, load"):
        _ = acnet.Predictr
