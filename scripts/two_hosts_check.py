#!/usr/bin/env python
"""Predict on two machines with two processes each, as two network namespaces of this one.

Each namespace has a network of its own, joined by a virtual cable; they share the disk, as machines
of a cluster do. torchrun is started in both, and the merged results must be those of one process.
Then the same with the second machine killed by SIGKILL in the middle: the first must finish alone.
Needs root and `ip` (Debian: iproute2). The last line is the verdict.

  python scripts/two_hosts_check.py
  python scripts/two_hosts_check.py --photos photos/ --weights model.safetensors
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO_ROOT))  # a clone works without being installed

HOSTS = ("acnet-first", "acnet-second")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29517
PROCESSES = 2
CONFIG = "toy/acnet_r18"
WAIT_SECONDS = 540


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder; default: 12 generated photos")
    parser.add_argument("--weights", type=Path, help="default: a small model of random weights")
    return parser


def why_impossible() -> str:
    """Return what keeps this machine from making network namespaces, or ""."""
    if shutil.which("ip") is None:
        return "there is no `ip`; install iproute2"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    trial = f"acnet-trial-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", trial], capture_output=True, check=False)
    if made.returncode:
        return made.stderr.decode().strip()
    subprocess.run(["ip", "netns", "delete", trial], check=True)
    return ""


class Hosts:
    """Two network namespaces with a cable between them; removed on leaving."""

    def __enter__(self) -> "Hosts":
        self._remove()  # what a killed check left
        for host in HOSTS:
            _ip("netns", "add", host)
        peer = ("type", "veth", "peer", "name", "acnet1", "netns", HOSTS[1])
        _ip("link", "add", "acnet0", "netns", HOSTS[0], *peer)
        for number, (host, address) in enumerate(zip(HOSTS, ADDRESSES, strict=True)):
            _ip("-n", host, "address", "add", f"{address}/24", "dev", f"acnet{number}")
            for device in ("lo", f"acnet{number}"):
                _ip("-n", host, "link", "set", device, "up")
        return self

    def __exit__(self, *error: object) -> None:
        self._remove()

    def start(self, number: int, predict: list[str], log: Path) -> subprocess.Popen:
        """Start torchrun on a host, in a process group of its own."""
        torchrun = [sys.executable, "-m", "torch.distributed.run"]
        torchrun += ["--nnodes", "2", "--node-rank", str(number)]
        torchrun += ["--nproc-per-node", str(PROCESSES)]
        torchrun += ["--master-addr", ADDRESSES[0], "--master-port", str(PORT)]
        # gloo and torchrun look for a network by the machine's name, which no namespace resolves.
        environment = {**_environment(), "GLOO_SOCKET_IFNAME": f"acnet{number}"}
        with log.open("ab") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", HOSTS[number], *torchrun, "-m", *predict],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def _remove(self) -> None:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)


def main() -> int:
    """Run the check and return the exit status: 0, 1 where it failed, 77 where it cannot run."""
    args = build_parser().parse_args()
    if reason := why_impossible():
        sys.stdout.write(f"SKIPPED: {reason}\n")
        return 77
    with tempfile.TemporaryDirectory() as scratch, Hosts() as hosts:
        folder = Path(scratch)
        photos = args.photos or _make_photos(folder)
        weights = args.weights or _make_weights(folder)
        predict = ["acnet.cli.main", "predict", str(photos), "--weights", str(weights)]
        alone = _run_alone(predict, folder / "alone")
        faults = _check_together(hosts, predict, folder / "together", alone)
        faults += _check_killed(hosts, predict, folder / "killed", alone)
    for fault in faults:
        sys.stdout.write(f"FAIL: {fault}\n")
    if not faults:
        sys.stdout.write("PASS: four processes on two hosts find what one finds\n")
    return 1 if faults else 0


def _check_together(hosts: Hosts, predict: list[str], output: Path, alone: dict) -> list[str]:
    start = time.monotonic()
    command = [*predict, "--output", str(output)]
    running = [hosts.start(number, command, output.with_suffix(f".{number}")) for number in (0, 1)]
    statuses = [_wait(process) for process in running]
    seconds = time.monotonic() - start
    sys.stdout.write(f"two hosts: status {statuses}, {seconds:.0f} s\n")
    faults = [] if statuses == [0, 0] else [_tails(output)]
    return faults + _compare(output, alone, "two hosts")


def _check_killed(hosts: Hosts, predict: list[str], output: Path, alone: dict) -> list[str]:
    command = [*predict, "--output", str(output)]
    first, second = (
        hosts.start(number, command, output.with_suffix(f".{number}")) for number in (0, 1)
    )
    parts = output / ".parts"
    _wait_until(lambda: len(list(parts.glob("*.json"))) >= 2)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()
    done = len(list(parts.glob("*.json")))
    finished = _wait_until((output / "index.html").exists)
    sys.stdout.write(f"second host killed after {done} photos; the first finished: {finished}\n")
    # Its torchrun would wait five minutes for the other one's to say goodbye.
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    return _compare(output, alone, "one host killed") if finished else [_tails(output)]


def _run_alone(predict: list[str], output: Path) -> dict:
    start = time.monotonic()
    words = [sys.executable, "-m", *predict, "--output", str(output)]
    subprocess.run(words, env=_environment(), stdout=subprocess.DEVNULL, check=True)
    found = _found(output)
    sys.stdout.write(f"one process: {len(found)} photos, {time.monotonic() - start:.0f} s\n")
    return found


def _compare(output: Path, alone: dict, title: str) -> list[str]:
    if not (output / "predictions.json").exists():
        return [f"{title}: there are no merged results"]
    return [] if _found(output) == alone else [f"{title}: the results differ from one process'"]


def _found(output: Path) -> dict:
    """Return the detections of each photo, rounded: threads add up in varying order."""
    names = {
        image["id"]: image["file_name"]
        for image in json.loads((output / "images.json").read_text())["images"]
    }
    found = {name: [] for name in names.values()}
    for row in json.loads((output / "predictions.json").read_text()):
        numbers = [round(value, 2) for value in (*row["bbox"], row["score"])]
        found[names[row["image_id"]]].append(numbers)
    return found


def _make_photos(folder: Path) -> Path:
    words = [sys.executable, "-m", "acnet.cli.main", "data", "toy", str(folder / "toy")]
    words += ["--photos", "12", "--size", "128"]
    done = subprocess.run(words, env=_environment(), capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"FAIL: no photos could be generated: {done.stderr.decode()[-500:]}")
    return folder / "toy" / "Classification" / "JPEGImages"


def _make_weights(folder: Path) -> Path:
    import torch
    from detectron2.config import LazyConfig

    from acnet.checkpoint import ACNetCheckpointer
    from acnet.config import load_config
    from acnet.engine.train import build_model

    torch.manual_seed(0)
    cfg = load_config(CONFIG, ["train.amp.enabled=false"])
    ACNetCheckpointer(build_model(cfg), folder).save("model_final")
    LazyConfig.save(cfg, str(folder / "config.yaml"))
    return folder / "model_final.pth"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPO_ROOT), "OMP_NUM_THREADS": "1"}


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"FAIL: ip {' '.join(arguments)}: {done.stderr.decode().strip()}")


def _wait(process: subprocess.Popen) -> int:
    try:
        return process.wait(WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _wait_until(condition) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _tails(output: Path) -> str:
    logs = [output.with_suffix(f".{number}") for number in (0, 1)]
    return "\n".join(log.read_text(errors="replace")[-1500:] for log in logs)


if __name__ == "__main__":
    sys.exit(main())
