"""The package's names."""

import pkgutil

import pytest

import acnet.evaluation


def test_every_name_is_there_and_no_other():
    for name in acnet.evaluation.__all__:
        assert getattr(acnet.evaluation, name) is not None
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from acnet.evaluation import nonsense  # noqa: F401


def test_no_module_hides_a_name():
    modules = {module.name for module in pkgutil.iter_modules(acnet.evaluation.__path__)}
    assert modules.isdisjoint(acnet.evaluation.__all__)
