"""The texts in an ONNX file, without the onnx package and without reading the model.

An ONNX file is a protobuf message: fields in any order, each with its number, its kind, and its
length where it has one. All but the texts are passed over.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from acnet.errors import UserError

METADATA = 14  # ModelProto.metadata_props
KEY, VALUE = 1, 2  # of StringStringEntryProto
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
MOST_TEXT_BYTES = 1 << 24


def read_onnx_metadata(path: Path) -> dict[str, str]:
    """Read the texts that an ONNX file carries.

    Args:
        path: of the file.

    Returns:
        Texts by name; none where it carries none.

    Raises:
        UserError: there is no such file, or it is no ONNX file.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            entries = [_entry(one) for one in _fields(file, size, wanted=METADATA)]
    except (OSError, ValueError) as error:
        raise UserError(
            f"An ONNX file holds a model and texts about it. Received {path}, which cannot be read "
            f"({error}); copy it again, or export it again."
        ) from error
    return dict(entries)


def _entry(message: bytes) -> tuple[str, str]:
    key, value = (
        b"".join(_fields(io.BytesIO(message), len(message), wanted=number)).decode()
        for number in (KEY, VALUE)
    )
    return key, value


def _fields(file: BinaryIO, size: int, *, wanted: int) -> Iterator[bytes]:
    """The contents of all fields of one number; each must have a length."""
    while file.tell() < size:
        number, kind = divmod(_varint(file), 8)
        if kind == VARINT:
            _varint(file)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            file.seek(8 if kind == EIGHT_BYTES else 4, os.SEEK_CUR)
        elif kind == LENGTH:
            length = _varint(file)
            if file.tell() + length > size:
                raise ValueError("it is cut short, or is no ONNX file")
            if number != wanted:
                file.seek(length, os.SEEK_CUR)
            elif length > MOST_TEXT_BYTES:
                raise ValueError("a text of it is too long")
            else:
                yield file.read(length)
        else:
            raise ValueError("it is no ONNX file")


def _varint(file: BinaryIO) -> int:
    """A whole number in groups of seven bits, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut short, or is no ONNX file")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no ONNX file")
