"""What the audit has to say: single findings, and the report of all."""

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from acnet.data.audit.kinds import ERROR, KINDS, SEVERITIES
from acnet.data.audit.statistics import Statistics


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
        """Refuses kinds that no one could look up."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of KINDS. Received {self.kind!r}.")

    @property
    def severity(self) -> str:
        """One of "error", "warning" and "info"."""
        return KINDS[self.kind].severity

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it for JSON."""
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
        """Returns how many findings there are of each kind that occurs, gravest kinds first."""
        return dict(collections.Counter(finding.kind for finding in self.findings))

    def has_errors(self) -> bool:
        """Says whether something must be mended before the set is used."""
        return any(finding.severity == ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it for JSON."""
        return {
            "counts": self.counts(),
            "statistics": self.statistics.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings by severity, then in the order of `KINDS`, then by file and detail.

    Args:
        findings: in any order.
    """
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
