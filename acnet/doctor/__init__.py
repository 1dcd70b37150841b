"""Is everything here that acnet needs, and does it work? Nothing is imported before it is asked."""

from pathlib import Path

from acnet.doctor.finding import Finding
from acnet.doctor.machine import check_machine
from acnet.doctor.packages import check_packages

__all__ = ["Finding", "examine"]


def examine(folder: Path) -> list[Finding]:
    """Examine the environment and the machine.

    Args:
        folder: Where results are to be written.

    Returns:
        What was found, in a fixed order.
    """
    return [*check_packages(), *check_machine(folder)]
