"""Command line of ACNet: one module per sub-command."""

import sys

import acnet.config

# Scripts of older versions take `config_of` from here.
sys.modules["acnet.cli._config_of"] = acnet.config
