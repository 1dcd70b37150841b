"""Errors that a user can mend."""


class UserError(Exception):
    """An expected mistake in what the user gave: an argument, a file, a config.

    The command line prints its message without a traceback. The message says the rule, the
    reason, what was received, and ends with the remedy.
    """
