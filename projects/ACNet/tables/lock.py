"""One program works on a run at a time, be it one that a killed runner left behind."""

import fcntl
import os
from pathlib import Path

LOCK_FILE = ".lock"


class FolderLock:
    """A lock that a started program inherits, so that it holds until that program has ended too.

    A runner that is killed leaves its training behind, which goes on writing checkpoints. As long
    as it lives, nobody else gets the lock, and a second training in the same folder cannot start.

    Args:
        folder: of the run; is made.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / LOCK_FILE
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Lock the folder; False where another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    @property
    def descriptor(self) -> int:
        """To be passed to programs that work in the folder.

        Raises:
            ValueError: the lock is not held.
        """
        if self._descriptor is None:
            raise ValueError("A lock is passed on while it is held. Call take first.")
        return self._descriptor

    def release(self) -> None:
        """Give the folder back, as far as this process is concerned."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
