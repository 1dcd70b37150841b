"""The config that belongs to weights."""

import logging
from pathlib import Path

from acnet.cli._predict_options import SAVED_CONFIG
from acnet.errors import UserError

logger = logging.getLogger(__name__)


def config_of(weights: Path) -> Path:
    """Find what a weights file's model was built by.

    Args:
        weights: The file.

    Returns:
        The file itself where it holds its config, else the config.yaml beside it.

    Raises:
        UserError: There is none.
    """
    from acnet.export.contents import texts_beside

    if texts_beside(weights) is not None:
        return weights
    config = weights.with_name(SAVED_CONFIG)
    if config.is_file():
        logger.info("Config: %s, beside the weights", config)
        return config
    raise UserError(
        "Weights need the config they were trained with, since it says what the model is. Received "
        f"--weights {weights} without --config-file, and there is no {config}. "
        "Add --config-file NAME, such as toy/acnet_r18."
    )
