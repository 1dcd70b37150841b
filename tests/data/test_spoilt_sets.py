"""Small data sets spoilt at random: the user gets a clear error, whatever is in them.

Each case writes a valid data set, spoils it in one to four places, opens it, reads every photo and
imports it, or audits it and writes a cleaned copy or a split. Allowed are success, a UserError and
a missing file. Any other exception, more time than the limit, or a changed or new file outside the
target is a finding.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acnet.data.audit.data_audit import audit_source, report_text, write_cleaned
from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.formats import open_source
from acnet.data.readers.source import Source
from acnet.data.split import SplitOptions, write_split
from acnet.errors import UserError
from acnet.files import write_json
from tests.data.mutations import mutate
from tests.data.small_sets import SETS, picture

ALLOWED = (UserError, FileNotFoundError)
MAX_MUTATIONS = 4
CASES = 12
LIMIT_SECONDS = 20


def was_taken(name: str, seed: str, folder: Path) -> bool:
    """Spoil one of `SETS` below an empty folder and read it; False where that is refused."""
    rng = Random(seed)
    (folder / "secret.jpg").write_bytes(picture())
    SETS[name](folder / "src")
    changes = [mutate(folder / "src", rng) for _ in range(rng.randint(1, MAX_MUTATIONS))]
    before = _snapshot(folder)
    taken = True
    try:
        with _time_limit():
            _read(folder / "src", rng.choice((name.partition(":")[0], "auto")), folder / "dst", rng)
    except ALLOWED:
        taken = False
    except Exception as error:
        raise AssertionError(f"seed {seed}: {', '.join(changes)}") from error
    assert _snapshot(folder) == before, f"seed {seed}: {', '.join(changes)}"
    return taken


def _read(src: Path, format_name: str, dst: Path, rng: Random) -> None:
    source = open_source(src, format_name)
    for name in sorted({name for names in source.splits.values() for name in names}):
        with suppress(*ALLOWED):
            source.read(name)
    if rng.random() < 0.3:
        _audit(source, dst, rng)
        return
    options = ImportOptions(
        skip_unreadable=rng.random() < 0.8,
        one_class=rng.choice((None, "acne")),
        copy_images=rng.random() < 0.3,
    )
    import_set(source, PreparedLayout.of_folder(dst), options)


def _audit(source: Source, dst: Path, rng: Random) -> None:
    audit = audit_source(source)
    report_text(audit.report).encode()
    write_json(dst / "audit" / "findings.json", audit.report.as_dict())
    if rng.random() < 0.5:
        write_cleaned(dst / "set", source, audit, copy_photos=rng.random() < 0.7)
    else:
        write_split(dst / "set", source, SplitOptions(shares={"train": 0.5, "test": 0.5}))


def _snapshot(folder: Path) -> dict[str, tuple]:
    """All files but the target's, by name, without reading any."""
    found = {}
    for place, _, files in os.walk(folder):
        if not Path(place).is_relative_to(folder / "dst"):
            for name in files:
                stat = os.lstat(f"{place}/{name}")
                found[f"{place}/{name}"] = (stat.st_size, stat.st_mtime_ns, stat.st_mode)
    return found


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"more than {LIMIT_SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("name", SETS)
def test_spoilt_data_sets_end_in_clear_errors(tmp_path, name):
    kinds = set()
    for number in range(CASES):
        (tmp_path / str(number)).mkdir()
        kinds.add(was_taken(name, f"test-{number}", tmp_path / str(number)))
    assert kinds == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**64))
def test_no_spoilt_data_set_ends_in_a_traceback(name, seed):
    with tempfile.TemporaryDirectory() as folder:
        was_taken(name, str(seed), Path(folder))
