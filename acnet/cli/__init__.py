"""Command line of ACNet: one module per sub-command."""

import sys

from acnet import config

# Scripts of older versions take `config_of` from here.
sys.modules["acnet.cli._config_of"] = config
