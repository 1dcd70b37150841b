"""The whole audit on a set with every fault: each is found where it was made."""

import json

import pytest

from acnet.data.audit.data_audit import audit_source, report_text
from acnet.data.audit.findings import KINDS, SEVERITIES, sort_findings
from acnet.data.readers.acne04 import open_acne04
from tests.data.audit.fake_source import FakeSource
from tests.data.audit.planter import ACNE04, SMALL, plant

# twin_a and twin_b are two files of the same bytes, near_b is near_a shrunk and enlarged.
EXPECTED = {
    ("picture unreadable", "cut.jpg"),
    ("picture missing", "lost.jpg"),
    ("annotation missing", "no_annotation.jpg"),
    ("file without partner", "spare.jpg"),
    ("annotation not taken", ""),
    ("annotation not taken", "notes.jpg"),
    ("no boxes", "plain.jpg"),
    ("size differs", "size.jpg"),
    ("EXIF orientation", "sideways.jpg"),
    ("box not a number", "nan.jpg"),
    ("box inverted", "inverted.jpg"),
    ("box without area", "empty.jpg"),
    ("box outside", "outside.jpg"),
    ("box partly outside", "partly.jpg"),
    ("box duplicated", "twice.jpg"),
    ("box nearly duplicated", "near.jpg"),
    ("box with two names", "names.jpg"),
    ("stray class", "names.jpg"),
    ("annotation id 0", "levle0_ids.jpg"),
    ("annotation id duplicated", "levle0_ids.jpg"),
    ("identical photos", "twin_a.jpg"),
    ("nearly identical photos", "near_a.png"),
    ("photo in two parts", "both.jpg"),
    ("identical across parts", "twin_a.jpg"),
    ("nearly identical across parts", "near_a.png"),
    ("twins labelled differently", "twin_a.jpg"),
    ("grade against count", "levle3_listed.jpg"),
    ("prefix against grade", "levle3_listed.jpg"),
    ("count against boxes", "levle3_listed.jpg"),
    ("anchors miss boxes", ""),
}
ELSEWHERE = {"annotation unreadable", "very many boxes"}  # see the tests of each


def test_every_fault_is_found_where_it_was_made_and_no_other(audit):
    found = [(finding.kind, finding.file_name) for finding in audit.report.findings]
    assert sorted(found) == sorted(EXPECTED)
    assert {kind for kind, _ in EXPECTED} | ELSEWHERE == set(KINDS)
    assert audit.report.has_errors()


def test_findings_are_sorted_by_gravity_whatever_the_number_of_workers(broken, audit):
    findings = audit.report.findings
    ranks = [SEVERITIES.index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks)
    assert list(audit.report.counts()) == list(dict.fromkeys(f.kind for f in findings))
    assert sort_findings(reversed(findings)) == list(findings)
    assert audit_source(broken, workers=2).report.as_dict() == audit.report.as_dict()


def test_the_text_says_what_and_what_to_do_and_neither_it_nor_json_where_the_set_lies(
    broken, audit
):
    text = report_text(audit.report)
    told = json.dumps(audit.report.as_dict(), allow_nan=False)
    for kind, name in EXPECTED:
        assert f"\n{kind}:\n" in text
        assert name in text
        assert KINDS[kind].remedy in text
    # 20 photos with files and annotations, 28 boxes; cut.jpg with its one box is unreadable.
    assert text.startswith("Photos: 22, 3 unusable\nBoxes: 27\nNames: acne 26, cold_sore 1\n")
    assert broken.image_root.parent.name not in text + told


def report_of(folder, names):
    source = FakeSource(image_root=folder, annotations={}, splits={"train": names})
    return audit_source(source).report


def test_an_empty_set_has_nothing_wrong(tmp_path):
    report = report_of(tmp_path, [])
    assert (report.findings, report.has_errors()) == ([], False)
    assert "Nothing was found." in report_text(report)


def test_names_cannot_command_the_terminal(tmp_path):
    text = report_text(report_of(tmp_path, ["\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}.jpg"]))
    assert "\x1b" not in text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text
    assert "[2J" in text


@pytest.mark.parametrize("plan", [SMALL, pytest.param(ACNE04, marks=pytest.mark.slow)])
def test_exactly_the_faults_of_acne04_are_found_in_its_layout(tmp_path, plan):
    planted = plant(tmp_path / "set", **plan, workers=1 if plan is SMALL else 2)
    report = audit_source(open_acne04(tmp_path / "set"), workers=2).report
    kinds = set(report.counts()) - {"anchors miss boxes"}  # as small as these lesions are
    found = {kind: set() for kind in kinds}
    for finding in report.findings:
        if finding.kind in kinds:
            found[finding.kind].add((finding.file_name, *finding.others))
    assert found == planted
    fifth = [plan["photos"] // 5, -(-plan["photos"] // 5)]
    assert all(report.statistics.splits[f"test_{fold}"].photos in fifth for fold in range(5))
