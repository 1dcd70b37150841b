"""What can be wrong with a weights file, as errors that end with the remedy."""

from acnet.errors import UserError


class CheckpointError(UserError):
    """A checkpoint cannot be found, read, trusted or used."""


class WeightsFileError(CheckpointError):
    """The file itself is at fault; another file may do, so resuming tries older ones."""


class UnreadableFileError(WeightsFileError):
    """The file is missing, cut short, damaged, or not a weights file."""


class UnsafeFileError(WeightsFileError):
    """The file asks for more than numbers and plain containers, which could run code."""


class WeightsMismatchError(CheckpointError):
    """The file is sound but does not fit the model or its input settings."""
