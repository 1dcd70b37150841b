"""What an examination finds, and how a check that breaks becomes a finding too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "fault"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination.

    Args:
        name: Of what was looked at.
        status: "ok"; "note" for what limits and does not hinder; "fault" for what must be mended.
        text: What was found.
        remedy: The command or step that mends it, or "".
    """

    name: str
    status: Status
    text: str
    remedy: str = ""


def guarded(name: str, check: Callable[[], Finding], *, remedy: str) -> Finding:
    """Run a check; whatever it raises is what it found.

    Args:
        name: Of what is looked at.
        check: Imports what it needs.
        remedy: Where it breaks.

    Returns:
        Its finding, or a fault.
    """
    try:
        return check()
    except ModuleNotFoundError as error:
        return Finding(
            name=name, status="fault", text=f"{error.name} is not installed", remedy=remedy
        )
    # A broken package can raise anything while it is imported; naming it is the point here.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        reason = (str(error).splitlines() or [""])[0]
        return Finding(
            name=name,
            status="fault",
            text=f"does not work ({type(error).__name__}: {reason})",
            remedy=remedy,
        )
