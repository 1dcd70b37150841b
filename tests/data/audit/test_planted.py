"""The audit finds the real faults of ACNE04, planted in generated photos: all, and nothing else."""

from pathlib import Path

import pytest

from acnet.data.audit.data_audit import Audit, AuditOptions, audit_source
from acnet.data.audit.statistics import AnchorSet
from acnet.data.readers.acne04 import open_acne04
from tests.data.audit.planter import SMALL, Plan, Planted, plant

# Boxes of 4 to 7 px are no lesions of 32 px; with anchors to match, they are not at fault.
SMALL_ANCHORS = AnchorSet(sizes_px=(5.5,), stride_px=1)


def check_planted(dst: Path, plan: Plan, workers: int) -> tuple[Audit, Planted]:
    planted = plant(dst, plan, workers)
    source = open_acne04(dst)
    audit = audit_source(source, AuditOptions(SMALL_ANCHORS, workers))
    report = audit.report
    files = {
        kind: {f.file_name for f in report.findings if f.kind == kind} for kind in report.counts()
    }
    pairs = {
        kind: {(f.file_name, *f.others) for f in report.findings if f.kind == kind}
        for kind in report.counts()
    }
    assert report.counts() == {
        "identical across parts": plan.twins,
        "stray class": plan.strays,
        "identical photos": plan.twins,
        "twins labelled differently": plan.conflicts,
        "prefix against grade": plan.wrong_prefixes,
    }
    assert files["prefix against grade"] == planted.wrong_prefixes
    assert files["stray class"] == planted.strays
    assert pairs["identical photos"] == pairs["identical across parts"] == planted.twins
    assert pairs["twins labelled differently"] == planted.conflicts
    assert report.statistics.boxes == plan.boxes
    assert tuple(report.statistics.photos_by_grade.values()) == plan.photos_by_grade
    return audit, planted


def test_the_audit_finds_exactly_what_was_planted(tmp_path):
    audit, _ = check_planted(tmp_path / "set", SMALL, workers=1)
    # 60 photos in five test lists of 12
    splits = audit.report.statistics.splits
    assert {splits[f"test_{fold}"].photos for fold in range(5)} == {12}


@pytest.mark.slow
def test_the_audit_finds_exactly_the_faults_of_acne04_in_its_real_numbers(tmp_path):
    audit, _ = check_planted(tmp_path / "set", Plan(), workers=2)
    splits = audit.report.statistics.splits
    assert audit.report.statistics.photos == 1457
    assert {splits[f"test_{fold}"].photos for fold in range(5)} == {292}
    assert {splits[f"trainval_{fold}"].photos for fold in range(5)} == {1165}
