"""Processes that read images for a DataLoader."""

import os
import signal
import threading


def outlive_sigterm(worker_id: int) -> None:
    """Let only the training process end this worker; a `worker_init_fn` of DataLoader.

    A cluster's SIGTERM reaches every process, and the training process still needs its data to
    finish the step. Torch's own handler would end the worker, and with it the training.

    Args:
        worker_id: given by DataLoader; unused.
    """
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
