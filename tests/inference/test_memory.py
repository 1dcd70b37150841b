"""A photo of 100 megapixels in less than 4 GiB, whatever way it was held."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SIDE = 10_000
LIMIT_MIB = 4096
# A child's peak begins with its parent's memory, so the photo is drawn in a process of its own,
# and the peak is that of the memory the process mapped itself.
PREDICT = """
import sys
import acnet

predictor = acnet.load(sys.argv[1], config="toy/acnet_r18", device="cpu")
found = predictor(sys.argv[2])
status = open("/proc/self/status").read()
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(*found.image_size, len(found), int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")  # noqa: PTH110
@pytest.mark.parametrize("orientation", [1, 6])
def test_100_megapixels_take_less_than_4_gib(tmp_path, tiny_weights, orientation, record_property):
    patch = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.tile(patch, (SIDE // 500, SIDE // 500, 1))).save(path, exif=exif)
    command = [sys.executable, "-c", PREDICT, str(tiny_weights), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    height, width, count, peak_mib = map(int, done.stdout.splitlines()[-1].split())
    record_property("peak_mib", peak_mib)
    sys.stdout.write(f"\norientation {orientation}: peak {peak_mib} MiB\n")
    assert (height, width) == (SIDE, SIDE)
    assert count > 100
    assert peak_mib < LIMIT_MIB
