"""A first run of an exported file, in a process of its own that can be ended.

A file from anybody may ask for more time or memory than there is, or end the process that loads it,
and a runtime that has begun to load cannot be told to stop.
"""

import os
import subprocess
import sys
from pathlib import Path

from acnet.export.metadata import ENGINES, INPUT_NAMES, read_export
from acnet.export.protobuf import check_operators

# ResNet-101 takes a second and a half a tile of 0.4 megapixels on two slow cores, and 2 GB.
SECONDS, SECONDS_PER_MEGAPIXEL = 30.0, 60.0
BYTES, BYTES_PER_MEGAPIXEL = 8 << 30, 16 << 30
# The current folder, which Python adds to a program's path, may hold anything.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[4:]; from acnet.export.trial import run_once; run_once()"
)


def fault_of(path: Path, engine: str) -> str | None:
    """Say why a file cannot be loaded and run once within limits of time and memory.

    Raises:
        UserError: its model does what no detector does.
    """
    check_operators(path)
    settings = read_export(path).settings
    megapixels = max(settings.batch, 1) * settings.tile_px**2 / 1e6
    seconds = SECONDS + SECONDS_PER_MEGAPIXEL * megapixels
    most_bytes = int(BYTES + BYTES_PER_MEGAPIXEL * megapixels)
    words = [sys.executable, "-c", _PROGRAM, engine, f"{path}", f"{seconds:.0f} {most_bytes}"]
    try:
        done = subprocess.run(
            [*words, *sys.path], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:.0f} seconds"
    if done.returncode == 0:
        return None
    lines = done.stderr.decode(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "")
    return said if done.returncode > 0 else f"it ended the process by signal {-done.returncode}"


def run_once() -> None:
    """Load a file and give it blank tiles; what goes wrong ends this process."""
    _, engine, path, limits = sys.argv[:4]
    seconds, most_bytes = map(int, limits.split())
    try:
        import resource
    except ImportError:  # Windows has none
        pass
    else:
        cpu_seconds = seconds * (os.cpu_count() or 1)  # where the caller was killed
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    import numpy as np

    settings = read_export(path).settings
    tiles, side = max(settings.batch, 1), settings.tile_px
    sizes_hw = np.full((tiles, 2), side, np.float32)
    arrays = (
        np.zeros((tiles, 3, side, side), np.uint8),
        sizes_hw,
        np.zeros((tiles, 4), np.float32),
    )
    inputs = dict(zip(INPUT_NAMES, arrays, strict=True))
    package = ENGINES[engine].import_package()
    if engine == "onnxruntime":
        package.disable_telemetry_events()
        options = package.SessionOptions()
        options.log_severity_level = 4
        providers = ["CPUExecutionProvider"]
        package.InferenceSession(path, options, providers=providers).run(None, inputs)
    else:
        package.Core().compile_model(path, "CPU")(inputs)
