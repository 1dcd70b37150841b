"""Processes that read images for a DataLoader."""

import multiprocessing
import os
import signal
import threading


def outlive_sigterm(worker_id: int) -> None:
    """Let only the training process end this worker; a `worker_init_fn` of DataLoader.

    A cluster's SIGTERM reaches every process, and the training process still needs its data to
    finish the step. Torch's own handler would end the worker, and with it the training. Only for
    forked workers: a spawned one that waits for signals does not get through Python's own exit.

    Args:
        worker_id: given by DataLoader; unused.
    """
    can_wait = hasattr(signal, "sigwaitinfo")  # not on macOS
    if can_wait and multiprocessing.get_start_method() == "fork":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
