"""Arrays come out of any pickle of arrays; nothing else does, and no code runs."""

import contextlib
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acnet.checkpoint.restricted_pickle import load_pickle
from acnet.checkpoint.safe_load import read_checkpoint
from acnet.errors import UnreadableFileError, UnsafeFileError

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([1.5, -2.0], dtype=np.float16),
    "columns first": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "transposed": np.arange(24, dtype=np.int64).reshape(2, 3, 4).transpose(1, 2, 0),
    "strided": np.arange(10, dtype=np.int32)[::3],
    "big end first": np.array([1, 256], dtype=">i2"),
    "flag": np.array([True, False]),
    "no axis": np.array(7, dtype=np.int64),
    "empty": np.zeros((0, 3), dtype=np.float32),
}


def write(path, content: bytes):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_arrays_survive_every_protocol_and_both_numpys(tmp_path, protocol, core):
    content = pickle.dumps(OrderedDict(ARRAYS), protocol)
    if protocol < 4:  # names are plain lines, so another length does no harm
        content = content.replace(b"numpy._core", core)
    loaded = load_pickle(write(tmp_path / "arrays.pkl", content))
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        torch.from_numpy(loaded[name]).zero_()  # memory of its own, writable, native


def test_pickle_of_python_2(tmp_path):
    # Protocol 2 with byte strings, which Python 3 must read as latin1: {"conv1_w": float32 [1.0]}.
    # 1.0 in float32 is 00 00 80 3f, little end first.
    content = (
        b"\x80\x02}U\x07conv1_w"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\x00\x00\x80\x3ftbs."
    )
    loaded = load_pickle(write(tmp_path / "R-101.pkl", content))
    np.testing.assert_array_equal(loaded["conv1_w"], np.array([1.0], dtype=np.float32))


def test_plain_values_and_inner_dicts_are_kept(tmp_path):
    content = {
        "model": {"w": np.ones(2, dtype=np.float32)},
        "__author__": "torchvision",
        "matching_heuristics": True,
        "accuracy": np.float64(0.77),
        "raw": b"\x00\xff",
        "depths": [1, (2, 3), {4}, frozenset({5})],
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = load_pickle(write(tmp_path / "a.pkl", pickle.dumps(content, protocol)))
        np.testing.assert_array_equal(loaded.pop("model")["w"], [1, 1])
        assert loaded == {key: value for key, value in content.items() if key != "model"}


class Call:
    """Pickles as a call of anything with anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["top", "value", "nested"])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        *((os.system, "system"), (eval, "eval"), (exec, "exec"), (getattr, "getattr")),
        *((np.fromfile, "fromfile"), (torch.load, "load")),
    ],
)
def test_calls_are_refused_and_not_made(tmp_path, protocol, place, function, name):
    canary = tmp_path / "canary"
    code = {eval: f"open({str(canary)!r}, 'w')", exec: f"open({str(canary)!r}, 'w')"}
    call = Call(function, code.get(function, f"touch {canary}"))
    nested = {"model": {"w": [(call,)]}}
    content = {"top": call, "value": {"w": np.ones(2), "x": call}, "nested": nested}[place]
    path = write(tmp_path / "evil.pkl", pickle.dumps(content, protocol))
    with pytest.raises(UnsafeFileError, match=rf"evil\.pkl, which asks for \S*{name}; convert"):
        load_pickle(path)
    assert not canary.exists()


def test_objects_in_an_array_are_refused(tmp_path):
    canary = tmp_path / "canary"
    content = {"w": np.array([Call(os.system, f"touch {canary}")], dtype=object)}
    with pytest.raises(UnreadableFileError, match="dtype 'O8' is not numeric"):
        load_pickle(write(tmp_path / "evil.pkl", pickle.dumps(content)))
    assert not canary.exists()


@pytest.mark.parametrize(
    "name",
    [
        *(b"builtins\neval", b"__builtin__\neval", b"numpy\nload", b"_codecs\nlookup"),
        b"numpy\nndarray.tofile",  # an attribute of an allowed class
        *(b"numpy.core.multiarray\nfromfile", b"copyreg\n_reconstructor", b"os\nsystem"),
        b"numpy.core.multiarray\n_reconstruct.__globals__",
        b"collections\nOrderedDict.__init__.__globals__",
        b"numpy\nndarray.__class__",
    ],
)
def test_names_beside_the_list_are_refused(tmp_path, name):
    module, attribute = name.split(b"\n")
    # As protocol 4 names things (STACK_GLOBAL, which splits them at dots), and as earlier ones do.
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text for text in (module, attribute))
    for content in (b"c" + name + b"\n)R.", b"\x80\x04" + texts + b"\x93."):
        path = write(tmp_path / "evil.pkl", content)
        asked = f"{module.decode()}.{attribute.decode()}"
        with pytest.raises(UnsafeFileError, match=f"which asks for {asked}"):
            load_pickle(path)


DTYPE = (
    b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
KEY = b"}U\x01w"
MANY = b"\xff\xff\xff\x7f"  # 2^31 - 1
EMPTY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"


BAD_BYTES = {
    "an empty file": b"",
    "text": b"not a pickle",
    "a list": b"]q\x00.",
    "a number": b"K\x01.",
    "2^63 bytes announced": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "2^63 bytes of array announced": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
    "array without a state": KEY + EMPTY + b"s.",
    "shape beyond its bytes": KEY + EMPTY + b"(K\x01(J" + MANY + b"t" + DTYPE + b"\x89U\x00tbs.",
    "negative shape": KEY + EMPTY + b"(K\x01(J\xff\xff\xff\xfft" + DTYPE + b"\x89U\x00tbs.",
    "huge array to reconstruct": KEY + EMPTY.replace(b"K\x00", b"J" + MANY) + b"s.",
    "objects": KEY + b"cnumpy\ndtype\n(U\x01OtRs.",
    "a structure": KEY + b"cnumpy\ndtype\n(U\x05f4,f4tRs.",
    "persistent id": b"P0\n.",
    "unregistered extension": b"\x82\x01.",
    "2^31 things to remember": b"}r" + MANY + b"U\x01wK\x01s",
    "function state": KEY + b"c_codecs\nencode\n}U\x01xK\x01sbs.",
    "deep nesting": b"]" * 5 + b"\x85" * 200_000 + b".",
    "zip": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zliptR.",
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_damaged_and_hostile_bytes_are_unreadable(tmp_path, name):
    for content in (b"\x80\x02" + BAD_BYTES[name], BAD_BYTES[name]):  # of protocol 2, of any
        with pytest.raises(UnreadableFileError, match=r"bad\.pkl"):
            load_pickle(write(tmp_path / "bad.pkl", content))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_truncation_is_refused(tmp_path, protocol):
    content = pickle.dumps(ARRAYS, protocol)
    for length in range(0, len(content), 7):
        with pytest.raises(UnreadableFileError, match=r"cut\.pkl"):
            load_pickle(write(tmp_path / "cut.pkl", content[:length]))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([2, 4, 5]))
def test_random_damage_ends_in_arrays_or_in_our_error(tmp_path_factory, data, protocol):
    content = bytearray(pickle.dumps({"w": ARRAYS["matrix"], "x": ARRAYS["flag"]}, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "damaged.pkl", bytes(content))
    with contextlib.suppress(UnreadableFileError):  # and no other error
        assert isinstance(load_pickle(path), dict)


def nested(levels: int, last: bytes) -> bytes:
    """Return opcodes of a tuple of itself twice, many times over: 2**levels to hash."""
    return b"(" + b"t" + b"\x85" + b"2\x86" * levels + last


NESTED_KEYS = {
    "one key": b"}" + nested(60, b"Ns."),
    "several keys": b"}(" + nested(60, b"Nu."),
    "a dict of pairs": b"(" + nested(60, b"Nd."),
    "a set": b"}X\x01\x00\x00\x00a\x8f(" + nested(60, b"\x90s."),
    "a frozen set": b"}X\x01\x00\x00\x00a(" + nested(60, b"\x91s."),
    "a set by its name": b"}X\x01\x00\x00\x00acbuiltins\nset\n(" + nested(60, b"ltRs."),
    "a dict by its name": b"ccollections\nOrderedDict\n((" + nested(60, b"Nlltl\x85R."),
}


@pytest.mark.parametrize("name", NESTED_KEYS)
def test_nested_keys_are_refused_before_they_are_hashed(name, tmp_path):
    # In a pickle, and in torch's two formats.
    path = write(tmp_path / "a.pkl", b"\x80\x04" + NESTED_KEYS[name])
    with pytest.raises(UnreadableFileError, match=r"a\.pkl.*(is a key|expects|Stack|pop|index)"):
        load_pickle(path)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x04" + NESTED_KEYS[name])
        archive.writestr("a/version", "3")
    with pytest.raises(UnreadableFileError, match=r"a\.pth"):
        read_checkpoint(tmp_path / "a.pth")
    path = write(tmp_path / "old.pth", (b"\x80\x04" + NESTED_KEYS[name]) * 5)
    with pytest.raises(UnreadableFileError, match=r"old\.pth"):
        read_checkpoint(path)


def test_one_piece_of_a_file_does_not_become_many_arrays(tmp_path):
    array = np.zeros(100_000, np.uint8)
    load_pickle(write(tmp_path / "one.pkl", pickle.dumps({"a": array}, protocol=4)))
    content = {str(i): array for i in range(100)}  # pickle writes it once
    with pytest.raises(UnreadableFileError, match="larger than the file"):
        load_pickle(write(tmp_path / "many.pkl", pickle.dumps(content, protocol=4)))
