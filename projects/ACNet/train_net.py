#!/usr/bin/env python
"""`acnet train` as a script, with the habits of detectron2's train_net.py."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("acnet") is None:
    # Python puts this script's folder on the path, not the clone's root, so a clone that was not
    # installed would not find its own package. An installed one goes first.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from acnet.cli.train import build_parser, main
from acnet.engine.launch import launch

if __name__ == "__main__":
    launch(main, build_parser().parse_args())
