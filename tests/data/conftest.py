"""Sets that are made once for all tests of acnet.data, and are not to be changed."""

from pathlib import Path

import pytest

from acnet.data.audit.data_audit import Audit, audit_source
from acnet.data.toy.toy_set import write_toy_set
from tests.data.audit.broken_set import write_broken_set
from tests.data.audit.fake_source import FakeSource
from tests.data.samples import TOY_COUNT, TOY_OPTIONS


@pytest.fixture(scope="session")
def toy_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten generated photos of 96 and 128 pixels in ACNE04's layout."""
    dst = tmp_path_factory.mktemp("toy") / "photos"
    write_toy_set(dst, TOY_OPTIONS, photos=TOY_COUNT, workers=1)
    return dst


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> FakeSource:
    """A set with every fault that the audit knows."""
    return write_broken_set(tmp_path_factory.mktemp("broken") / "photos")


@pytest.fixture(scope="session")
def audit(broken: FakeSource) -> Audit:
    """What the audit says of it."""
    return audit_source(broken)
