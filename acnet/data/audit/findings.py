"""What the audit has to say: every kind of fault that it knows, single findings, and the report.

Each kind says how grave it is, what to do, and what the cleaning does; docs/data.md explains
them, and a test compares the two.
"""

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from acnet.data.audit.statistics import Statistics

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass(frozen=True)
class Kind:
    """One sort of finding.

    Args:
        name: what it is called in reports; findings are counted by it.
        severity: "error": training or evaluation goes wrong; "warning": a person should look;
            "info": good to know.
        remedy: what the user can do about it.
    """

    name: str
    severity: str
    remedy: str


_FIXED = "--fix does it in a copy"

KINDS = {
    kind.name: kind
    for kind in (
        # Files
        Kind("picture unreadable", ERROR, f"replace the file, or leave it out: {_FIXED}"),
        Kind("picture missing", ERROR, f"restore the file, or take it off the list: {_FIXED}"),
        Kind("annotation unreadable", ERROR, f"replace the file, or leave it out: {_FIXED}"),
        Kind("annotation missing", WARNING, f"annotate the photo, or leave it out: {_FIXED}"),
        Kind("file without partner", WARNING, "complete the pair and list it, or remove the file"),
        Kind("annotation not taken", WARNING, "look at the file; the reader left this out"),
        Kind("no boxes", INFO, "nothing where the skin is clear; else annotate the photo"),
        # Sizes
        Kind("size differs", WARNING, f"trust the picture's own size: {_FIXED}"),
        Kind("EXIF orientation", WARNING, f"store the picture upright: {_FIXED}"),
        # Boxes
        Kind("box not a number", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box inverted", ERROR, f"drop the box or swap its corners: {_FIXED}"),
        Kind("box without area", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box outside", ERROR, f"drop the box or draw it again: {_FIXED}"),
        Kind("box partly outside", WARNING, f"clip the box: {_FIXED}"),
        Kind("box duplicated", WARNING, f"keep one of the two: {_FIXED}"),
        Kind("box nearly duplicated", WARNING, "look, and keep the better one of the two"),
        Kind("box with two names", WARNING, "decide which name is right"),
        Kind("very many boxes", WARNING, "check the annotation; near duplicates were not sought"),
        # Names and ids
        Kind("stray class", WARNING, "rename the object, or drop the class when importing"),
        Kind("annotation id 0", ERROR, f"number from 1: {_FIXED}"),
        Kind("annotation id duplicated", ERROR, f"number anew: {_FIXED}"),
        # Twins
        Kind("identical photos", WARNING, "keep one, or keep them in one part: acnet data split"),
        Kind("nearly identical photos", INFO, "keep them in one part: acnet data split"),
        Kind("photo in two parts", ERROR, f"take it out of the training part: {_FIXED}"),
        Kind("identical across parts", ERROR, f"take it out of the training part: {_FIXED}"),
        Kind("nearly identical across parts", WARNING, f"take it out of training: {_FIXED}"),
        Kind("twins labelled differently", WARNING, "decide which annotation is right"),
        # Grades and counts
        Kind("grade against count", WARNING, "correct the list; count lesions to grade"),
        Kind("prefix against grade", WARNING, "do not read the grade from the file's name"),
        Kind("count against boxes", WARNING, "correct the list, or annotate what is missing"),
        # The whole set
        Kind("anchors miss boxes", WARNING, "train with other anchor sizes, or a smaller stride"),
    )
}


@dataclass(frozen=True)
class Finding:
    """One fault at one place.

    Args:
        kind: a name of `KINDS`.
        file_name: the photo, below the folder of the pictures, or another file's name; empty where
            the finding is on the whole set.
        detail: what exactly; an example where the number is larger than one.
        number: how many boxes, objects or ids it is about.
        others: further photos that the finding is about, sorted.
    """

    kind: str
    file_name: str
    detail: str = ""
    number: int = 1
    others: tuple[str, ...] = ()

    def __post_init__(self):
        """Refuse kinds that no one could look up."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of KINDS. Received {self.kind!r}.")

    @property
    def severity(self) -> str:
        """One of "error", "warning" and "info"."""
        return KINDS[self.kind].severity

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "file": self.file_name,
            "others": list(self.others),
            "number": self.number,
            "detail": self.detail,
            "remedy": KINDS[self.kind].remedy,
        }


@dataclass(frozen=True)
class Report:
    """All findings on a data set.

    Args:
        findings: in the order of `sort_findings`.
        statistics: sizes, counts and shares.
    """

    findings: Sequence[Finding]
    statistics: Statistics

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each kind that occurs, gravest kinds first."""
        return dict(collections.Counter(finding.kind for finding in self.findings))

    def has_errors(self) -> bool:
        """Say whether something must be corrected before the set is used."""
        return any(finding.severity == ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "counts": self.counts(),
            "statistics": self.statistics.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by severity, then in the order of `KINDS`, then by file and detail."""
    rank = {
        kind.name: (SEVERITIES.index(kind.severity), index)
        for index, kind in enumerate(KINDS.values())
    }
    return sorted(
        findings,
        key=lambda finding: (
            *rank[finding.kind],
            finding.file_name,
            finding.others,
            finding.detail,
        ),
    )
