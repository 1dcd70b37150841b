#!/usr/bin/env python
"""Spoil small data sets at random and read them: the user gets a clear error, whatever is in them.

Each case writes a valid data set, spoils it in one to four places, opens it, reads every photo and
imports it, or audits it and writes a cleaned copy or a split. Allowed are success, a UserError and
a missing file. Any other exception, more time than --limit, or a changed or new file outside the
target is a finding: it ends the run with status 1, and the case's folder is kept. The same seed
gives the same cases.
"""

import argparse
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

if importlib.util.find_spec("acnet") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a clone that is not installed
os.environ["TQDM_DISABLE"] = "1"

from fuzz_mutations import mutate
from fuzz_sets import SETS, picture

from acnet.data.audit.cleaned_copy import write_cleaned
from acnet.data.audit.data_audit import AuditOptions, audit_source, report_text
from acnet.data.import_set import ImportOptions, import_set
from acnet.data.prepared_set import PreparedLayout
from acnet.data.readers.formats import open_source
from acnet.data.readers.source import Source
from acnet.data.split_set import SplitOptions, write_split
from acnet.errors import UserError
from acnet.files import write_json

ALLOWED = (UserError, FileNotFoundError)
MAX_MUTATIONS = 4


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Args:
        kind: "imported", "refused" or "finding".
        changes: how the set was spoilt.
        text: the error's or the finding's.
    """

    kind: str
    changes: tuple[str, ...]
    text: str = ""


def run_case(name: str, seed: str, folder: Path, *, limit_seconds: float) -> Outcome:
    """Spoils one data set and reads it.

    Args:
        name: a key of `SETS`.
        seed: of the case.
        folder: empty; the case writes below it.
        limit_seconds: that it may take.
    """
    rng = Random(seed)
    src, secret = folder / "src", folder / "secret.jpg"
    secret.write_bytes(picture())
    SETS[name](src)
    changes = tuple(mutate(src, rng) for _ in range(rng.randint(1, MAX_MUTATIONS)))
    before = _snapshot(folder)
    try:
        with _time_limit(limit_seconds):
            _read(src, rng.choice((name.partition(":")[0], "auto")), folder / "dst", rng)
        outcome = Outcome("imported", changes)
    except ALLOWED as error:
        outcome = Outcome("refused", changes, str(error))
    except Exception:  # noqa: BLE001 - whatever else comes out is what we look for
        outcome = Outcome("finding", changes, traceback.format_exc())
    after = _snapshot(folder)
    if after != before:
        different = sorted({*before, *after} - {*before} & {*after})
        return Outcome("finding", changes, f"files outside the target changed: {different}")
    return outcome


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted({name.partition(":")[0] for name in SETS})
    parser.add_argument("--reader", choices=names, help="default: all, one after the other")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each reader; default 1")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--case", type=int, help="only this case, of each data set of the reader")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds a case; default 10")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    return parser


def main() -> int:
    """Runs the command line and returns the exit status."""
    args = build_parser().parse_args()
    readers = [args.reader] if args.reader else sorted({n.partition(":")[0] for n in SETS})
    return max(_fuzz(reader, args) for reader in readers)


def _fuzz(reader: str, args: argparse.Namespace) -> int:
    names = [name for name in SETS if name.partition(":")[0] == reader]
    counts = {"imported": 0, "refused": 0}
    end = time.monotonic() + 60 * args.minutes
    number = args.case or 0
    while time.monotonic() < end:
        for name in names:
            folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
            outcome = run_case(name, f"{args.seed}-{number}", folder, limit_seconds=args.limit)
            if args.verbose or outcome.kind == "finding":
                sys.stdout.write(
                    f"{name} case {number}, seed {args.seed}: {outcome.kind}\n  "
                    + "\n  ".join(outcome.changes)
                    + f"\n{outcome.text}\n"
                )
            if outcome.kind == "finding":
                sys.stdout.write(f"kept: {folder}\n")
                return 1
            counts[outcome.kind] += 1
            shutil.rmtree(folder)
        number += 1
        if args.case is not None:
            break
    sys.stdout.write(f"{reader}: {counts['imported']} imported, {counts['refused']} refused\n")
    return 0


def _read(src: Path, format_name: str, dst: Path, rng: Random) -> None:
    source = open_source(src, format_name)
    for name in sorted({name for names in source.splits.values() for name in names}):
        try:
            source.read(name)
        except ALLOWED:
            continue
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
    audit = audit_source(source, AuditOptions())
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
        if Path(place).is_relative_to(folder / "dst"):
            continue
        for name in files:
            stat = os.lstat(os.path.join(place, name))  # noqa: PTH118 - names may be no text
            found[f"{place}/{name}"] = (stat.st_size, stat.st_mtime_ns, stat.st_mode)
    return found


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"more than {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


if __name__ == "__main__":
    sys.exit(main())
