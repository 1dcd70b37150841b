"""Who works on which photo, told by files in a folder that all processes share.

A claim is a file that only one process can create. Each process shows that it lives by touching a
file of its own; the others watch whether that file changes, by their own clock, since clocks of
several machines differ. What a dead process claimed is free again.

Nothing depends on claims but speed: two processes that work on the same photo write the same. So a
file system that answers late costs time and no result, and nothing can hang.
"""

import contextlib
import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

BEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 60.0  # network file systems may show a change half a minute late


class Claims:
    """The claims of one process, and its view of the others'.

    Use it as a context manager: on leaving, its claims and its sign of life are removed.

    Args:
        folder: Shared by all processes; is made.
        rank: Of this process.
        clock: Seconds that only rise.
    """

    def __init__(self, folder: Path, rank: int, *, clock: Callable[[], float] = time.monotonic):
        self._folder = folder
        self._clock = clock
        self._machine = _machine_id()
        self.worker = f"{rank}-{self._machine}-{os.getpid()}-{secrets.token_hex(4)}"
        self._seen: dict[str, tuple[int, float]] = {}  # worker: last beat, and when it was new here
        self._held: set[str] = set()
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Claims":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._beat_file(self.worker).touch()
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._beats.join()
        for key in list(self._held):
            self.release(key)
        self._beat_file(self.worker).unlink(missing_ok=True)

    def take(self, key: str) -> bool:
        """Claim a photo.

        Args:
            key: Of the photo, a file name.

        Returns:
            False where another living process has claimed it.
        """
        path = self._claim_file(key)
        for _ in range(2):
            try:
                with path.open("x", encoding="ascii") as file:
                    file.write(self.worker)
            except FileExistsError:
                if self._owner_lives(path):
                    return False
                path.unlink(missing_ok=True)
            else:
                self._held.add(key)
                return True
        return False  # somebody else was quicker to take over

    def release(self, key: str) -> None:
        """Give a claim back, after the result is written."""
        self._held.discard(key)
        self._claim_file(key).unlink(missing_ok=True)

    def _owner_lives(self, path: Path) -> bool:
        try:
            owner = path.read_text(encoding="ascii")
        except FileNotFoundError:
            return False
        if not owner:  # created and not yet written, or killed in between
            owner = path.name
            beat_file = path
        else:
            beat_file = self._beat_file(owner)
        if _is_dead_here(owner, self._machine):
            return False
        try:
            beat = beat_file.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        known, since = self._seen.get(owner, (None, 0.0))
        if beat != known:
            since = self._clock()
            self._seen[owner] = (beat, since)
        return self._clock() - since < DEAD_AFTER_SECONDS

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # the next beat may reach a network disk again
                os.utime(self._beat_file(self.worker))

    def _claim_file(self, key: str) -> Path:
        return self._folder / f"{key}.claim"

    def _beat_file(self, worker: str) -> Path:
        return self._folder / f"{worker}.alive"


def _machine_id() -> str:
    """Return what tells this machine, and its processes' numbers, from others, without its name."""
    words = [socket.gethostname()]
    with contextlib.suppress(OSError):
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        words.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - no path but a name
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]


def _is_dead_here(owner: str, machine: str) -> bool:
    """Tell at once that a process of this machine has ended."""
    parts = owner.split("-")
    if len(parts) != 4 or parts[1] != machine or not parts[2].isdecimal():
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # it lives, and belongs to another user
    return False
