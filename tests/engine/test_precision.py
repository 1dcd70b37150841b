"""The device of a run, and which precision a config means on it."""

from types import SimpleNamespace

import pytest
import torch

from acnet.engine import precision
from acnet.engine.precision import Precision, choose_precision, cpu_has_bfloat16, resolve_device
from acnet.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_takes_a_gpu_where_there_is_one_and_a_missing_one_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [resolve_device(name) for name in ("auto", "cpu", "cuda")] == [CUDA, CPU, CUDA]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [resolve_device(name) for name in ("auto", "cpu")] == [CPU, CPU]
    with pytest.raises(UserError, match=r"train\.device=auto"):
        resolve_device("cuda")


def amp(enabled, dtype="auto") -> SimpleNamespace:
    return SimpleNamespace(enabled=enabled, dtype=dtype)


@pytest.mark.parametrize(("enabled", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_where_it_is_asked_to(enabled, dtype):
    chosen = choose_precision(amp(enabled), CPU)
    assert chosen == Precision("cpu", dtype if enabled else None)
    with chosen.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_whether_bfloat16_is_native(native, monkeypatch):
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: native)
    assert choose_precision(amp("auto"), CPU).dtype == (torch.bfloat16 if native else None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: native)
    on_gpu = choose_precision(amp("auto"), CUDA).dtype
    assert on_gpu == (torch.bfloat16 if native else torch.float16)


def test_a_torch_that_cannot_tell_means_no(monkeypatch):
    monkeypatch.setattr(torch, "cpu", SimpleNamespace())
    assert cpu_has_bfloat16() is False


def test_only_float16_scales_gradients():
    # A GradScaler for CUDA turns itself off where there is no GPU, so this one is for the CPU.
    assert Precision("cpu", torch.float16).grad_scaler().is_enabled()
    assert not Precision("cpu", torch.bfloat16).grad_scaler().is_enabled()
    assert not Precision("cpu", None).grad_scaler().is_enabled()


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        (amp("yes"), "train.amp.enabled=auto"),
        (amp(True, "half"), "train.amp.dtype=auto"),
        (amp(True, "float16"), "train.amp.enabled=false"),
    ],
)
def test_errors_end_with_the_remedy(config, remedy):
    with pytest.raises(UserError, match=rf"{remedy}\.$"):
        choose_precision(config, CPU)
