"""The package's names."""

import pytest

import acnet.evaluation


def test_every_name_is_there_and_no_other():
    for name in acnet.evaluation.__all__:
        assert getattr(acnet.evaluation, name) is not None
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from acnet.evaluation import nonsense  # noqa: F401
