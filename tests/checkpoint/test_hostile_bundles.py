"""Bundles, saved configs and exports that somebody made to do harm: an error of one line, no more.

Each case was a way to run a command, to fetch, to tell secrets, to write a file, or to end in a
traceback, in an earlier version or in a tool of this kind.
"""

import contextlib
import copy
import json
import os
import struct
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acnet.checkpoint.bundle import read_bundle
from acnet.cli.main import main
from acnet.config import load_config, prediction_config
from acnet.errors import UserError
from acnet.evaluation.count_model import parse_count_model
from acnet.safe_config import parse_saved_config
from tests.evaluation.count_models import count_model

SECRET = "s3cr3t-of-the-user"
FORBIDDEN = {  # events of Python's audit, none of which reading a config may raise
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn"),
    *("socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request", "pickle.find_class"),
    *("os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "ctypes.dlopen"),
}
_seen: list[tuple] | None = None  # where a test listens


def _hook(event: str, arguments: tuple) -> None:
    if _seen is None:
        return
    if event == "open":
        path, mode, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        # Python's own compiled modules apart, which an import may write.
        if writes and not str(path).endswith((".pyc", "/dev/null")) and ".pyc." not in str(path):
            _seen.append((event, path, mode))
    elif event in FORBIDDEN:
        _seen.append((event, *arguments))


sys.addaudithook(_hook)


@pytest.fixture
def nothing_happens(monkeypatch):
    """Fail a test in which something was run, fetched, written or deleted."""
    global _seen
    monkeypatch.setenv("USER_SECRET", SECRET)
    _seen = []
    yield
    seen, _seen = _seen, None
    assert seen == []


@pytest.fixture(scope="module")
def sound() -> dict:
    """Return the content of a sound config; tests change copies."""
    return yaml.safe_load(prediction_config(load_config("toy/acnet_r18")))


def at(content: dict, place: str, value: object) -> dict:
    """Return a copy in which the value of a place is another."""
    changed = copy.deepcopy(content)
    *above, name = place.split(".")
    node = changed
    for key in above:
        node = node[int(key)] if isinstance(node, list) else node[key]
    node[name] = value
    return changed


def write(path: Path, **texts: str | None) -> Path:
    """Write a bundle by safetensors' layout: a length, JSON, the numbers (none)."""
    metadata = {"format": "acnet bundle", "version": "1", "classes": '["acne"]', "card": "# Card"}
    metadata |= texts
    header = {"__metadata__": {name: text for name, text in metadata.items() if text is not None}}
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded)
    return path


TOUCH = ["touch", "pwned"]
MODEL = "model.backbone.bottom_up.bottom_up.lead.stem"
TARGETS = {  # what is named, and what it is given
    "os.system": {"command": "touch pwned"},
    "os.popen": {"cmd": "touch pwned"},
    "subprocess.Popen": {"args": TOUCH},
    "builtins.eval": {"source": "1"},
    "builtins.open": {"file": "pwned", "mode": "w"},
    "torch.load": {"f": "x.pth", "weights_only": False},
    "torch.hub.load": {"repo_or_dir": "a/b", "model": "c"},
    "detectron2.data.build.load_proposals_into_dataset": {"proposal_file": "x"},
    "detectron2.data.build.os.system": {"command": "touch pwned"},
    "detectron2.data.build.pickle.loads": {"data": "x"},
    "detectron2.data.detection_utils.read_image": {"file_name": "http://localhost/?${oc.env:HOME}"},
    "detectron2.data.datasets.load_coco_json": {"json_file": "http://localhost", "image_root": "x"},
    "detectron2.config.LazyConfig.load": {"filename": "x.py"},
    "detectron2.config.instantiate": {"cfg": {"_target_": "os.system", "command": "touch pwned"}},
    "detectron2.checkpoint.DetectionCheckpointer": {"model": None, "save_dir": "x"},
    "detectron2.modeling.build_model": {"cfg": {}},
    "detectron2.modelingevil.Thing": {},
    "detectron2.modeling": {},
    "acnet.evaluation.count_model.write_count_model": {"path": "pwned", "model": 1},
    "acnet.files.write_text": {"path": "pwned", "text": "x"},
    "acnet.files.atomic_write": {"path": "pwned"},
    "acnet.cli.main.main": {"argv": ["predict"]},
    "acnet.modeling.no_such_thing": {},
    "fvcore.common.file_io.PathManager.open": {"path": "pwned", "mode": "w"},
    "hydra.utils.get_method": {"path": "os.system"},
    "os": {},
    "": {},
    "a" * 100_000: {},
    "..": {},
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:60])
@pytest.mark.parametrize("place", ["model", "dataloader.test.mapper.augmentations", "x"])
def test_what_is_no_part_of_a_detector_is_not_built(target, place, sound, nothing_happens):
    node = {"_target_": target, **TARGETS[target]}
    content = at(sound, place, [node] if place.endswith("augmentations") else node)
    with pytest.raises(UserError, match=r"Received x, in which"):
        parse_saved_config(yaml.safe_dump(content), source="x")


REFERENCES = [
    "${oc.env:USER_SECRET}",
    "${oc.create:{_target_:os.system,command:'touch pwned'}}",
    "${oc.decode:${oc.env:USER_SECRET}}",
    "${oc.dict.values:model}",
    "${model}",
    "${.}",
    "${model.input_format}",
    "\\${escaped}",
    "???",
]


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    "place", ["x", "model.input_format", "train.amp.dtype", "train.x", MODEL, "model.channels_last"]
)
def test_references_are_refused(reference, place, sound, nothing_happens):
    with pytest.raises(UserError, match=r"Received x, in which"):
        parse_saved_config(yaml.safe_dump(at(sound, place, reference)), source="x")


ODD_TEXTS = {
    "an alias bomb": "l0: &l0 [x, x]\n"
    + "\n".join(f"l{i}: &l{i} [*l{i - 1}, *l{i - 1}]" for i in range(1, 40)),
    "a cycle": "model: &m {x: *m}",
    "a merge of itself": "model: &m {<<: *m}",
    "a tag that runs": "x: !!python/object/apply:os.system ['touch pwned']",
    "a tag of yaml": "x: !!binary aGVsbG8=",
    "deep lists": "[" * 5000,
    "deep mappings": "\n".join(" " * i + "x:" for i in range(1000)),
    "5,000 digits": f"train: {{x: {'9' * 5000}}}",
    "hexadecimal digits": f"train: {{x: 0x{'f' * 5000}}}",
    "sixties": "train: {x: " + ":".join(["59"] * 5000) + "}",
    "an endless float": "train: {x: 1e999}",
    "no number": "train: {x: .nan}",
    "a date for a key": "train: {2026-01-01: 1}",
    "a date": "train: {x: 2026-01-01}",
    "a number for a key": "1: 2",
    "a list for a key": "? [a, b]\n: c",
    "a _BASE_": "_BASE_: http://localhost/x.yaml",
    "a dunder": "__class__: {__init__: x}",
    "several documents": "a: 1\n---\nb: 2",
    "nothing": "",
    "a word": "word",
    "control characters": "x: \x1b[31m",
    "too much": "x: [" + "a, " * 100_000 + "]",
    "the tag of a value": "x: =",
    "a set": "x: !!set {a, b}",
    "train only": "train: {amp: {enabled: true, dtype: auto}}",
    "train is a list": "train: [1]",
    "a lone surrogate": 'x: "\\ud800"',
}


@pytest.mark.parametrize("name", ODD_TEXTS)
@pytest.mark.parametrize("is_bundle", [True, False])
def test_odd_yaml_is_an_error_of_one_line(name, is_bundle, sound, tmp_path):
    text = ODD_TEXTS[name]
    if is_bundle:
        path = write(tmp_path / "m.safetensors", config=text)
    else:
        path = tmp_path / "config.yaml"
        path.write_text(text)
    with pytest.raises(UserError) as error:
        load_config(path)
    message = str(error.value)
    assert path.name in message
    assert len(message) < 1500


DATASET = {"_target_": "detectron2.data.get_detection_dataset_dicts", "names": "x"}
ODD_VALUES = {
    "model": [1, [], {}, None, "acnet.modeling.ACNet", {"_target_": 7}, {"_target_": ["os"]}],
    "model.input_format": ["RGBA", 1, None, ["BGR"]],
    "model.pixel_mean": [[], [1.0] * 65, [1.0], "x", [[1.0]], [None], [10**400]],
    "model.pixel_std": [[0.0, 1.0, 1.0], [-1.0, 1, 1]],
    "model.roi_heads.num_classes": [0, -1, 10**9, 1.5, True, "1"],
    "model.backbone.width": [1e9, -1, 0],
    "model.backbone.bottom_up.out_channels": [10**6, 0, 8192, "512"],
    "model.backbone.bottom_up.in_features": [["res9"], [], "res2", [["res2"]]],
    "model.backbone.bottom_up.reference": ["res9", "../x"],
    "model.backbone.unknown": [1],
    f"{MODEL}.norm": ["os.system", 1, "Evil"],
    f"{MODEL}.out_channels": [10**30, -5],
    "model.proposal_generator.anchor_generator.sizes": [[[-1]], [[8]] * 65, [[1e9]], [8]],
    "model.roi_heads.box_head.fc_dims": [[8192, 8192, 8192, 8192, 8192, 8192, 8192], [10**12]],
    "model.roi_heads.box_head.input_shape": [{"_target_": "detectron2.layers.ShapeSpec", "z": 1}],
    "model.roi_heads.box_pooler.output_size": [10**6],
    "dataloader": [1, [], None, {}],
    "dataloader.test": [1, {"_target_": "acnet.modeling.ACNet"}],
    "dataloader.test.mapper.augmentations": [{}, [1], ["x"], [[]], [{"x": 1}]],
    "dataloader.test.dataset": [
        {**DATASET, "proposal_files": ["x"]},
        {**DATASET, "names": "../../etc/passwd"}
    ],
    "train": [1, [], None, {}],
    "train.amp": [None, {}, {"enabled": "yes", "dtype": "auto"}, {"enabled": True, "dtype": "x"}],
    "train.channels_last": ["true", None, 1],
    "optimizer": [{"_target_": "torch.optim.SGD", "lr": [1]}, {"_target_": "torch.optim.LBFGS"}],
    "lr_multiplier": [
        {"_target_": "detectron2.solver.WarmupParamScheduler"},
        {"_target_": "fvcore.common.param_scheduler.MultiStepParamScheduler", "values": []},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value"), [(place, value) for place, values in ODD_VALUES.items() for value in values]
)
def test_odd_values_are_refused(place, value, sound, nothing_happens):
    with pytest.raises(UserError, match=r"Received x, in which"):
        parse_saved_config(json.dumps(at(sound, place, value)), source="x")


NAMES = [
    *('["${oc.env:USER_SECRET}"]', '["???"]', '"acne"', "acne", '{"0": "acne"}', "[1]", ""),
    *("[" * 10_000, json.dumps(["a" * 201])),
]
ODD_BUNDLES = [
    *(({"classes": text}, "whose classes are") for text in NAMES),
    ({"format": None}, "holds no config"),
    ({"version": "2"}, "of version '2', where 1 is known"),
    ({"config": None, "card": None}, "without card, config"),
    ({"count_model": "{}"}, "does not say 'format'"),
    ({"count_model": ""}, "which is no JSON"),
]


@pytest.mark.parametrize(("texts", "fault"), ODD_BUNDLES)
def test_odd_bundles_are_refused(texts, fault, sound, tmp_path, request):
    path = write(tmp_path / "m.safetensors", **{"config": yaml.safe_dump(sound), **texts})
    request.getfixturevalue("nothing_happens")
    with pytest.raises(UserError, match=rf"m\.safetensors, .*{fault}"):
        load_config(path)


def test_escape_codes_do_not_reach_the_console(sound, tmp_path, capsys):
    path = write(
        tmp_path / "m.safetensors",
        config=yaml.safe_dump(sound),
        classes=json.dumps(["ac\x1b[31mne\n\x07"]),
        card="# \x1b]0;title\x07Card\n",
    )
    for options in ([], ["--json"], ["--config"]):
        assert main(["weights", "show", str(path), *options]) == 0
    missing = str(tmp_path / "\x1b[2Jno.safetensors")
    assert main(["weights", "show", missing]) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\x07" not in shown.out + shown.err


@pytest.mark.parametrize(
    "count_model_or_change",
    [
        *({"fit_photos": 10**400}, {"interval_photos": 10**18}, {"threshold": 1e300}),
        *({"quantile": "1"}, {"merge": ["nms"]}, {"version": 10**300}, {"x" * 10_000: 1}),
        *("9" * 5000, "[" * 100_000, "null", '{"a": 1' * 10, "\x00"),
    ],
    ids=lambda content: str(content)[:60],
)
def test_absurd_count_models_are_refused(count_model_or_change):
    text = count_model_or_change
    if isinstance(text, dict):
        text = json.dumps({**json.loads(count_model(threshold=0.3).to_json()), **text})
    with pytest.raises(UserError, match=r"x\.json") as error:
        parse_count_model(text, source="x.json")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "header",
    [
        *(b"", b"no bundle", b"\xff" * 8, b"\xff" * 100),
        struct.pack("<Q", 10**15) + b"{}",
        struct.pack("<Q", 10**5) + b"[" * 10**5,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 22) + b'{"__metadata__": [1]}  ',
        struct.pack("<Q", 32) + b'{"__metadata__": {"format": 1}} ',
    ],
)
def test_spoilt_headers_are_refused(header, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(header)
    with pytest.raises(UserError, match=r"m\.safetensors, which cannot be read"):
        read_bundle(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "config",
    [
        "${oc.create:{_target_:os.system,command:'touch pwned'}}",
        "{model: {_target_: os.system, command: touch pwned}}",
    ],
)
@pytest.mark.parametrize("command", ["predict", "pack"])
def test_commands_say_it_in_one_line(config, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bundle = write(tmp_path / "m.safetensors", config=config)
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "model_final.pth").touch()
    (tmp_path / "photo.png").touch()
    words = {
        "predict": ["predict", "photo.png", "--weights", bundle, "--output", "out"],
        "pack": ["weights", "pack", tmp_path, "packed.safetensors"],
    }[command]
    before = set(tmp_path.iterdir())
    assert main(list(map(str, words))) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


NAME = st.text(max_size=10) | st.integers() | st.just("_target_")
PLAIN_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAME, inner, max_size=4),
    max_leaves=20,
)


def _places(content, above=()) -> list[tuple]:
    inner = []
    if isinstance(content, dict):
        inner = [place for key, one in content.items() for place in _places(one, (*above, key))]
    return [above, *inner] if above else inner


@pytest.mark.parametrize(
    "examples",
    [pytest.param(30, id="quick"), pytest.param(1000, id="more", marks=pytest.mark.slow)],
)
def test_any_value_anywhere_is_read_or_refused(examples, sound):
    options = {"deadline": None, "suppress_health_check": list(HealthCheck)}

    @settings(max_examples=examples, database=None, derandomize=examples < 100, **options)
    @given(st.sampled_from(_places(sound)), PLAIN_VALUE)
    def check(place, value) -> None:
        changed = at(sound, ".".join(place), value)
        with contextlib.suppress(UserError):  # and no other error
            parse_saved_config(yaml.safe_dump(changed), source="x")

    check()


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(text=st.text(max_size=200))
def test_any_text_is_refused(text):
    with pytest.raises(UserError):
        parse_saved_config(text, source="x")
    with pytest.raises(UserError):
        parse_count_model(text, source="x")
