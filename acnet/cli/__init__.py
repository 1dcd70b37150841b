"""Command line of ACNet: one module per sub-command."""
