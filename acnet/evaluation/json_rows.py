"""Reading a long JSON list row by row, with a part of the file in memory at a time."""

import json
import os
import re
from collections.abc import Iterator
from typing import IO, Any

from acnet.errors import UserError

CHUNK_CHARS = 2**20
LONGEST_ROW_CHARS = 2**22  # a row with a mask takes some 10,000
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json_rows(path: str | os.PathLike) -> Iterator[Any]:
    """Read the members of the list that a JSON file consists of.

    `json`'s own scanner takes one member after the other from a buffer, so that this is as fast as
    reading the file at once and needs no package.

    Args:
        path: UTF-8 text.

    Yields:
        One member after the other.

    Raises:
        UserError: It cannot be read, or is not a list in JSON, or a member is longer than 4 MiB.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123 - a path or its name
            yield from _Scanner(file, path).rows()
    except OSError as error:
        raise UserError(
            f"A file of rows must be readable. Received {path}: {error.strerror}. Check the name."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"JSON is UTF-8 text. Received {path}: {error}. Save it as UTF-8."
        ) from error


class _Scanner:
    """A window on the text that moves forward."""

    def __init__(self, file: IO[str], path: str | os.PathLike):
        self._file = file
        self._path = path
        self._text = ""
        self._place = 0
        self._num_rows = 0
        self._decode = json.JSONDecoder().raw_decode

    def rows(self) -> Iterator[Any]:
        if not self._skip("["):
            raise self._error("it does not start with [")
        done = self._skip("]")
        while not done:
            yield self._next_row()
            done = self._skip("]")
            if not done and not self._skip(","):
                raise self._error("neither , nor ] follows it")
            self._num_rows += 1
        if self._next_sign():
            raise self._error("there is more text after the list")

    def _next_row(self) -> Any:
        self._next_sign()
        while True:
            try:
                row, self._place = self._decode(self._text, self._place)
                return row
            except json.JSONDecodeError as error:
                too_long = len(self._text) - self._place > LONGEST_ROW_CHARS
                if too_long or not self._read_on():
                    raise self._error(error.msg) from error
            except RecursionError as error:
                raise self._error("it is nested too deeply") from error

    def _next_sign(self) -> str:
        """Move to the next sign that is no space; "" at the end."""
        while True:
            self._place = _SPACE.match(self._text, self._place).end()
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._read_on():
                return ""

    def _skip(self, sign: str) -> bool:
        """Move past a sign if it is the next one."""
        found = self._next_sign() == sign
        self._place += found
        return found

    def _read_on(self) -> bool:
        chunk = self._file.read(CHUNK_CHARS)
        self._text = self._text[self._place :] + chunk
        self._place = 0
        return bool(chunk)

    def _error(self, fault: str) -> UserError:
        return UserError(
            "Predictions are a JSON list of rows, one a detection, since they are read row by row. "
            f"Received {self._path}, row {self._num_rows}: {fault}. Write the file anew; one that "
            "was cut off ends like this as well."
        )
