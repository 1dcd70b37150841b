"""What values a saved config may hold: kinds of arguments, and what its `train` is made of.

What a value may be:
  (low, high)     a whole number, where both are whole; any finite number, where both are floats
  bool, None      that
  {"a", "b"}      one of these words
  re.compile()    a text that matches as a whole
  [kind]          a list of up to 64 of that kind
  {"*": kind}     a mapping of names to that kind
  "role"          something that another constructor of that role builds
  (kind, ...)     one of these kinds, where it is a tuple that holds no two numbers
"""

import re
from typing import Any

COUNT = (1, 8192)  # channels, and what comes in such numbers
SMALL = (0, 64)
SIDE = (1, 8192)  # pixels
MANY = (0, 100_000)
LARGE = (0, 10**9)
SHARE = (0.0, 1.0)
POSITIVE = (0.0, 1e6)
SIGNED = (-1e6, 1e6)
NORM = {"", "BN", "FrozenBN", "GN", "LN", "SyncBN", "naiveSyncBN", "naiveSyncBN_N", "nnSyncBN"}
LEVEL = re.compile(r"[a-z]{1,8}\d{0,2}")
LEVELS = [LEVEL]
DATASET = re.compile(  # a name, or a prepared set's folder with the name of a split
    r"[\w .:+-]{1,200}|[^\0\n]{1,1000}(:|[/\\]annotations[/\\])[\w .+-]{1,200}"
)
FORMAT = {"BGR", "RGB"}
STAGE = {"norm": NORM, "stem_channels": COUNT, "dilation": (1, 64), "stride_in_1x1": bool}

# fmt: off
# What the engine and the predictor read beside what is built.
TRAIN = {
    "accumulate": (1, 10_000), "activation_checkpointing": bool, "cuda_graphs": bool,
    "freeze_at": (0, 5),
    "amp": {"enabled": (bool, {"auto"}), "dtype": {"auto", "bfloat16", "float16", "float32"}},
    "best_metric": re.compile(r"[\w@./ -]{0,200}"), "channels_last": bool,
    "clip_gradients": {"enabled": bool, "clip_type": {"norm", "value"}, "clip_value": POSITIVE,
        "norm_type": POSITIVE},
    "ema": {"enabled": bool, "decay": SHARE}, "lr_factors": {"*": POSITIVE},
    "checkpointer": {"max_to_keep": (LARGE, None), "period": LARGE},
    "ddp": {"broadcast_buffers": bool, "find_unused_parameters": bool, "fp16_compression": bool},
    "device": re.compile(r"[a-z]{1,20}(:\d{1,3})?"), "epochs": ((0.0, 1e6), None),
    "eval_period": LARGE, "fast_dev_run": bool, "init_checkpoint": re.compile(r"[^\0]{0,1000}"),
    "log_period": LARGE, "max_iter": (LARGE, None), "output_dir": re.compile(r"[^\0]{0,1000}"),
    "overwrite": bool, "seed": (-1, 2**63 - 1), "sync_bn": bool,
}
# At which scale a training saw photos; see `acnet.photos.grid`.
PHOTOS = {"size_px": ((32, 8192), None), "lesion_px": ((1.0, 8192.0), None)}
NEEDED = ("model.input_format", "train.amp.enabled", "train.amp.dtype", "train.channels_last",
          "dataloader.test.mapper.augmentations")  # for a prediction as for a training
# fmt: on


def is_plain(value: Any) -> bool:
    """Tell whether a value is a text that refers to nothing; OmegaConf's "???" stands for none."""
    return isinstance(value, str) and "${" not in value and value != "???"


def is_range(kind: tuple) -> bool:
    """Tell whether a kind is that of numbers between two others."""
    return len(kind) == 2 and all(type(bound) in (int, float) for bound in kind)


def is_of(value: Any, kind: Any) -> bool:
    """Tell whether a plain value is of a kind that is no list, mapping or role."""
    if kind is None or kind is bool:
        return value is None if kind is None else isinstance(value, bool)
    if isinstance(kind, set):
        return isinstance(value, str) and value in kind
    if isinstance(kind, re.Pattern):
        return is_plain(value) and kind.fullmatch(value) is not None
    if isinstance(kind, tuple) and not isinstance(value, bool):
        whole = all(isinstance(bound, int) for bound in kind)
        return isinstance(value, int if whole else int | float) and kind[0] <= value <= kind[1]
    return False


def described(kind: Any) -> str:
    """Say what a value of this kind is."""
    if isinstance(kind, tuple):
        return f"a {'whole ' * isinstance(kind[0], int)}number from {kind[0]} to {kind[1]}"
    if isinstance(kind, set):
        return f"one of {', '.join(sorted(map(repr, kind)))}"
    if isinstance(kind, list):
        return "a list"
    return {bool: "true or false", None: "null"}.get(kind, "a short plain text")
