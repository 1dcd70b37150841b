"""The page on the audit explains every kind, with the severity that the code has."""

import re
from pathlib import Path

from acnet.data.audit.findings import KINDS, SEVERITIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_every_kind_is_explained_in_the_order_of_the_code():
    severities = "|".join(SEVERITIES)
    rows = re.findall(rf"^\| ([^|]+) \| ({severities}) \|", PAGE.read_text(), flags=re.MULTILINE)
    assert rows == [(kind.name, kind.severity) for kind in KINDS.values()]
