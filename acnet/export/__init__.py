"""From a trained model to a file that other engines run; see docs/export.md."""
