"""The records of one data set, found by row."""

from collections.abc import Iterable, Sequence

from acnet.config import load_config
from acnet.tables.estimates import Samples
from acnet.tables.numbers import RESAMPLED
from acnet.tables.record import Record
from acnet.tables.rows import FORMS, Row, baseline_of, known_rows
from acnet.tables.settings import check_equal, model_settings


class Measured:
    """Which row has which records.

    A row without records of its own takes those of a row that is the same model: Table III's L2-L4
    with DCE is Table II's (h).

    Args:
        rows: that are wanted, each once.
        records: of the data set, comparable with each other.

    Raises:
        UserError: a record is of a config that has changed since.
    """

    def __init__(self, rows: Sequence[Row], records: Sequence[Record]):
        self.rows = tuple(rows)
        self.records = tuple(records)
        known = known_rows(rows[0].data) if rows else []
        self._known = {(row.table, row.key, row.form) for row in known}
        self._of_row = {row: self._find(row) for row in rows}
        # Alike in all records, or the first ones' where some lack a set.
        self.tests = tuple(records[0].content["tests"]) if records else ()

    def of(self, row: Row) -> dict[int, Record]:
        """Return the records of a row, by seed."""
        return self._of_row[row]

    def find(self, table: int, key: str, form: str) -> Row | None:
        """Find the row that stands for one of the paper's.

        Args:
            table: of the paper.
            key: of the row.
            form: of `FORMS`. A row that has no tuned twin, be it among the rows or not, is the
                same in both.

        Returns:
            The row; None where it is not among the rows.
        """
        tables = (1, 2) if (table, key) == (1, "acnet") else (table,)
        for wanted in dict.fromkeys((form, FORMS[0])):
            for one in tables:
                for row in self.rows:
                    if (row.table, row.key, row.form) == (one, key, wanted):
                        return row
                if (one, key, wanted) in self._known:
                    return None
        return None

    def baseline(self, form: str) -> Row | None:
        """Return the row that gains of a form refer to."""
        return baseline_of(self.rows, form)

    def samples(self, rows: Iterable[Row], test: str, key: str) -> Samples:
        """Collect a number of several rows, with its replicates.

        Args:
            rows: which; those without records are left out.
            test: name of the set.
            key: of the number, one of `RESAMPLED`.
        """
        column = list(RESAMPLED).index(key)
        found: dict[str, dict[int, tuple]] = {}
        for row in rows:
            for seed, record in self._of_row[row].items():
                value = record.value(test, key) if test in record.content["tests"] else None
                if value is not None:
                    sample = (value, record.replicates[test][:, column])
                    found.setdefault(row.config, {})[seed] = sample
        return found

    def _find(self, row: Row) -> dict[int, Record]:
        if not self.records:
            return {}
        model = model_settings(load_config(row.config, self.records[0].settings["overrides"]))
        own = {record.seed: record for record in self.records if record.row == row.config}
        for record in own.values():
            names = (f"the config {row.config}", f"the record {record.path}")
            check_equal(model, record.content["model"], names)
        alike = [record for record in self.records if record.content["model"] == model]
        return own or {record.seed: record for record in alike}
