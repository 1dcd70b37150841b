"""What an ONNX file holds, read without a library and without loading its model.

An ONNX file is a protobuf message: fields in any order, each with its number, its kind, and its
length where it has one. Runtimes trust what they read, so a file is looked through before they do.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from acnet.errors import UserError, shown

MOST_TEXT_BYTES = 1 << 24  # of all texts together
MOST_FIELDS = 10_000  # of a message; the graph of a model of ours has some 2,000
MOST_NAME_BYTES = 100
# Numbers of fields in the messages of onnx.proto.
_GRAPH, _TEXTS, _FUNCTIONS = 7, 14, 25  # of a model
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of a graph
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of a node
_TENSORS, _GRAPHS, _SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)  # of an attribute
_EXTERNAL_DATA = 13  # of a tensor
_OWN_DOMAIN = re.compile(r"(ai\.onnx)?")
# What the exporter may write for a detector: plain arithmetic on tensors, and Soft-NMS's one loop.
# Nothing else decides, repeats, draws numbers at random, or reads files.
OPERATORS = re.compile(
    r"Abs|Add|And|ArgMax|ArgMin|AveragePool|BatchNormalization|Cast|CastLike|Ceil|Clip|Concat|"
    r"Constant|ConstantOfShape|Conv|ConvTranspose|CumSum|Div|Einsum|Elu|Equal|Erf|Exp|Expand|"
    r"Flatten|Floor|Gather|GatherElements|GatherND|Gelu|Gemm|GlobalAveragePool|GlobalMaxPool|"
    r"Greater|GreaterOrEqual|GroupNormalization|HardSigmoid|HardSwish|Identity|"
    r"InstanceNormalization|IsInf|IsNaN|LayerNormalization|LeakyRelu|Less|LessOrEqual|Log|Loop|"
    r"MatMul|Max|MaxPool|Mean|Min|Mod|Mul|Neg|NonMaxSuppression|NonZero|Not|OneHot|Or|PRelu|Pad|"
    r"Pow|Range|Reciprocal|ReduceL2|ReduceMax|ReduceMean|ReduceMin|ReduceProd|ReduceSum|Relu|"
    r"Reshape|Resize|RoiAlign|Round|ScatterElements|ScatterND|Selu|Shape|Sigmoid|Sign|Size|Slice|"
    r"Softmax|Softplus|Split|Sqrt|Squeeze|Sub|Sum|Tanh|Tile|TopK|Transpose|Trilu|Unsqueeze|Where|"
    r"Xor"
)


def read_texts(path: Path) -> dict[str, str]:
    """Read the texts that an ONNX file carries, by name.

    Raises:
        UserError: there is no such file, or it is no ONNX file.
    """
    texts: dict[str, str] = {}
    left = MOST_TEXT_BYTES
    with _opened(path) as (file, size):
        for _, end in _fields(file, size, _TEXTS):
            left -= end - file.tell()
            if left < 0:
                raise ValueError("its texts are too long")
            pair = {
                one: file.read(at - file.tell()).decode() for one, at in _fields(file, end, 1, 2)
            }
            texts[pair.get(1, "")] = pair.get(2, "")
    return texts


def check_operators(path: Path) -> None:
    """Refuse an ONNX file whose model does what no detector does.

    Raises:
        UserError: it has another operator, or functions, sparse numbers or numbers in other files.
    """
    with _opened(path) as (file, size):
        for number, end in _fields(file, size, _GRAPH, _FUNCTIONS):
            if number == _FUNCTIONS:
                raise ValueError("it has functions of its own, which an export never has")
            _check_graph(file, end)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")  # a pipe would never end
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise UserError(
            f"An ONNX file holds a model and texts about it. Received {path}, which cannot be read "
            f"({error}); copy it again, or export it again."
        ) from error


def _check_graph(file: BinaryIO, end: int, *, is_inner: bool = False) -> None:
    for number, its_end in _fields(file, end, _NODE, _INITIALIZER, _SPARSE):
        if number == _NODE:
            _check_node(file, its_end, is_inner=is_inner)
        else:
            _check_tensor(file, its_end, is_sparse=number == _SPARSE)


def _check_node(file: BinaryIO, end: int, *, is_inner: bool) -> None:
    for number, its_end in _fields(file, end, _OPERATOR, _ATTRIBUTE, _DOMAIN):
        if number == _ATTRIBUTE:
            _check_attribute(file, its_end, is_inner=is_inner)
            continue
        name = file.read(min(its_end - file.tell(), MOST_NAME_BYTES)).decode()
        if not (OPERATORS if number == _OPERATOR else _OWN_DOMAIN).fullmatch(name):
            raise ValueError(f"it has the operator {shown(name)}, which an export never has")


def _check_attribute(file: BinaryIO, end: int, *, is_inner: bool) -> None:
    for number, its_end in _fields(file, end, *_TENSORS, *_GRAPHS, *_SPARSE_TENSORS):
        if number not in _GRAPHS:
            _check_tensor(file, its_end, is_sparse=number in _SPARSE_TENSORS)
        elif is_inner:
            raise ValueError("it has a loop in a loop, which an export never has")
        else:
            _check_graph(file, its_end, is_inner=True)


def _check_tensor(file: BinaryIO, end: int, *, is_sparse: bool) -> None:
    if is_sparse or any(_fields(file, end, _EXTERNAL_DATA)):
        raise ValueError("it has numbers in another file or form, which an export never has")


def _fields(file: BinaryIO, end: int, *wanted: int) -> Iterator[tuple[int, int]]:
    """Yield number and end of each wanted field with a length, the file being at its content."""
    for _ in range(MOST_FIELDS):
        if file.tell() >= end:
            return
        number, kind = divmod(_varint(file), 8)
        if kind == 0:  # a number
            _varint(file)
        elif kind in (1, 5):
            file.seek(8 if kind == 1 else 4, os.SEEK_CUR)
        elif kind == 2 and number < 1 << 29:  # with a length
            length = _varint(file)
            its_end = file.tell() + length
            if its_end > end:
                raise ValueError("it is cut short, or is no ONNX file")
            if number in wanted:
                yield number, its_end
            file.seek(its_end)
        else:
            raise ValueError("it is no ONNX file")
    raise ValueError("it has too many parts for a model of ours")


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
