"""A run that is killed, and the run after it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acnet.data.tiles.tile_plan import TileOptions
from acnet.data.tiles.tile_set import tile_set
from tests.data.samples import write_photo
from tests.data.tiles.samples import contents, write_set

REPO_ROOT = Path(__file__).resolve().parents[3]
NAMES = [f"{i:02d}.png" for i in range(8)]
OPTIONS = TileOptions(tile_px=64, overlap_px=48, image_format="png")
COMMAND = ["--tile", "64", "--overlap", "48", "--format", "png", "--workers", "2"]


@pytest.fixture
def sets(tmp_path):
    """Two equal prepared sets."""
    for name in NAMES:
        write_photo(tmp_path / "photos" / name, (260, 300))
    splits = {"train": NAMES[4:], "test": NAMES[:4]}
    return [write_set(tmp_path / name, tmp_path / "photos", splits) for name in ("one", "two")]


@pytest.mark.parametrize("cut_photos", [0, 3])
def test_a_killed_run_is_finished_with_the_same_bytes(sets, cut_photos):
    whole, killed = sets
    tile_set(whole, OPTIONS)
    journal = killed.folder / "tiles.jsonl"
    command = [sys.executable, "-m", "acnet.cli.main", "data", "tile", killed.folder, *COMMAND]
    with subprocess.Popen(command, cwd=REPO_ROOT, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if journal.is_file() and journal.read_text().count("\n") > cut_photos:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert "tiles" not in json.loads(killed.manifest.read_text())
    cut_before = set(journal.read_text().splitlines()[1:])
    times = {path.name: path.stat().st_mtime_ns for path in killed.tiles.glob("*.png")}

    tile_set(killed, OPTIONS)
    assert contents(killed.folder) == contents(whole.folder)
    for line in cut_before:  # what was finished is not done again
        for name in json.loads(line)["tiles"]:
            assert (killed.tiles / name).stat().st_mtime_ns == times[name]
