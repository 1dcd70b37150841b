"""The runtimes of exported files, ONNX Runtime and OpenVINO, each imported when it is used."""

import os
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from acnet.checkpoint.bundle import FOLDERS
from acnet.errors import UserError, printable
from acnet.export.metadata import ENGINES, INPUT_NAMES, OUTPUT_NAMES
from acnet.export.trial import fault_of

_CPU_PROVIDER = "CPUExecutionProvider"
_ERRORS_ONLY = 3  # ONNX Runtime's level
OPENVINO_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_AS_EXPORTED = ("config", "auto")  # as precision


class Session(Protocol):
    """An exported file that is ready to run; attributes as of `Engine`."""

    name: str
    device: str
    precision: str

    def run(self, inputs: dict[str, np.ndarray], seconds: float) -> list[np.ndarray]:
        """Return the file's outputs by `OUTPUT_NAMES`, or raise any error, after `seconds` too."""


def open_session(path: Path, engine: str, *, device: str, precision: str) -> Session:
    """Make an exported file ready to run; one that is not bundled with acnet is tried first.

    Args:
        engine: "onnxruntime" or "openvino".
        device: "auto" (the CPU: the runtimes' usual packages know no other), or a name.
        precision: "config" or "auto" (as exported), or one that the engine can compute in.

    Raises:
        UserError: the engine computes in no such precision or place, or refuses the file.
    """
    chosen = "float32" if precision in _AS_EXPORTED else precision
    able = tuple(OPENVINO_HINTS) if engine == "openvino" else ("float32",)
    if chosen not in able:
        raise UserError(
            f"An exported file holds float32, and the engine {engine} computes it in "
            f"{' or '.join(able)}. Received --precision {chosen}; leave it out."
        )
    target = "cpu" if device == "auto" else device
    fault = fault_of(path, engine) if path.parent not in FOLDERS else None
    if fault is not None:
        raise refused(engine, path, reason_of(fault))
    if engine == "openvino":
        return OpenVinoSession(path, target, chosen)
    return OnnxRuntimeSession(path, target)


def num_threads() -> int:
    """Return how many threads to compute with: OMP_NUM_THREADS, as for torch, or all CPUs."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    is_linux = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if is_linux else os.cpu_count() or 1


class OnnxRuntimeSession:
    """A `Session` of ONNX Runtime, with a thread a CPU. It sends nothing anywhere."""

    def __init__(self, path: Path, device: str):
        """Load a file for "cpu", or "cuda:0" where the installed ONNX Runtime has CUDA.

        Raises:
            UserError: the device is none of these, or the file cannot be loaded.
        """
        self._runtime = ENGINES["onnxruntime"].import_package()
        self._runtime.disable_telemetry_events()  # where a program has imported it before us
        self.name = f"onnxruntime {self._runtime.__version__}"
        self.device = device
        self.precision = "float32"
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.log_severity_level = _ERRORS_ONLY
        providers = _providers(device, self._runtime.get_available_providers())
        try:
            self._session = self._runtime.InferenceSession(path, options, providers=providers)
            _check_names(self._session.get_inputs(), self._session.get_outputs())
        except Exception as error:
            raise refused(self.name, path, reason_of(error)) from error

    def run(self, inputs: dict[str, np.ndarray], seconds: float) -> list[np.ndarray]:
        """Same as `Session.run`."""
        options = self._runtime.RunOptions()
        options.log_severity_level = _ERRORS_ONLY + 1
        timer = threading.Timer(seconds, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            return self._session.run(OUTPUT_NAMES, inputs, options)
        finally:
            timer.cancel()


def _providers(device: str, available: list[str]) -> list[Any]:
    kind, _, index = device.partition(":")
    provider = f"{kind.upper()}ExecutionProvider"
    if provider not in available:
        raise UserError(
            "ONNX Runtime computes on what its package was built for, here "
            f"{', '.join(available)}. Received --device {device}; use --device cpu, or install "
            "onnxruntime-gpu."
        )
    if provider == _CPU_PROVIDER:
        return [_CPU_PROVIDER]
    return [(provider, {"device_id": int(index or 0)}), _CPU_PROVIDER]


class OpenVinoSession:
    """A `Session` of OpenVINO, on Intel's and other CPUs."""

    def __init__(self, path: Path, device: str, precision: str):
        """Load a file for "float32" or "bfloat16", which OpenVINO left to itself takes if it can.

        Raises:
            UserError: another device is asked for, or the file cannot be loaded.
        """
        if device != "cpu":
            raise UserError(
                "OpenVINO is used here on CPUs. "
                f"Received --device {device}; use --device cpu, or another engine."
            )
        openvino = ENGINES["openvino"].import_package()
        self.name = f"openvino {openvino.__version__}"
        self.device = device
        self.precision = precision
        settings = {
            "INFERENCE_PRECISION_HINT": OPENVINO_HINTS[precision],
            "INFERENCE_NUM_THREADS": num_threads(),
        }
        try:
            core = openvino.Core()
            self._model = core.compile_model(core.read_model(path), "CPU", settings)
        except RuntimeError as error:
            raise refused(self.name, path, reason_of(error)) from error

    def run(self, inputs: dict[str, np.ndarray], seconds: float) -> list[np.ndarray]:
        """Same as `Session.run`."""
        request = self._model.create_infer_request()
        request.start_async(inputs)
        if not request.wait_for(int(seconds * 1000)):
            request.cancel()
            raise TimeoutError(f"no answer within {seconds:.0f} seconds")
        return [request.get_tensor(name).data.copy() for name in OUTPUT_NAMES]


def _check_names(inputs: list[Any], outputs: list[Any]) -> None:
    names = [one.name for one in inputs], [one.name for one in outputs]
    if sorted(names[0]) != sorted(INPUT_NAMES) or not set(OUTPUT_NAMES) <= set(names[1]):
        raise ValueError(f"its inputs are {names[0]} and its outputs {names[1]}")


def refused(engine: str, path: Path, reason: str) -> UserError:
    """Return the error of a file that a runtime does not load."""
    return UserError(
        f"{engine} loads what `acnet export` wrote. Received {path}, which it refuses "
        f"({reason}); export it again with the versions that are installed here."
    )


def reason_of(error: Exception | str) -> str:
    """Return what an error of a runtime says, in one line."""
    return printable(" ".join(str(error).split()))[:200] or type(error).__name__
