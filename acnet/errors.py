"""Errors that a user can repair, and text that is safe to show."""

from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """An expected mistake in what the user gave: an argument, a file, a config.

    The command line prints its message without a traceback. The message says the rule, the
    reason, what was received, and ends with the remedy.
    """


class UnreadableFileError(UserError):
    """A file is missing, cut short or damaged, or is not what its name says."""


class UnsafeFileError(UnreadableFileError):
    """A file asks for more than numbers and plain containers, which could run code."""


class WeightsMismatchError(UserError):
    """Weights are sound but do not fit the model or its input settings."""


def printable(text: str) -> str:
    r"""Replace what a terminal would take for a command, such as escape codes in a file's name.

    Line ends stay, so that a text for people keeps its form.

    Example:
        >>> printable("a\x1b[31m\nb") == "a\N{REPLACEMENT CHARACTER}[31m\nb"
        True
    """
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def shown(value: Any) -> str:
    """Return a short text of anything, for a message."""
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)} values"
    if not isinstance(value, str):
        return str(value)[:60]
    return repr(printable(value[:60] + "..." * (len(value) > 60)).replace("\n", " "))


def shorten(names: Iterable[str], limit: int = 12) -> str:
    """Return the first few of many names, and how many more there are, for a message."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + more
