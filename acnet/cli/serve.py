"""`acnet serve`: a page on this machine to drop photos on."""

import argparse
import logging
import sys
import webbrowser

from acnet.cli.main import add_command, natural_int, set_up_logging
from acnet.export.metadata import ENGINES

DESCRIPTION = """\
Serve a page on 127.0.0.1, which nobody on another machine can open: drop photos on it, and see
boxes, counts, and what the threshold changes. Photos and results stay in the memory of this program
and are forgotten when it ends; tables can be saved from the page. End it by Ctrl-C.
"""
EPILOG = """\
examples:
  acnet serve --open
  acnet serve --port 0 --weights model.onnx
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `serve` to the command line."""
    summary = "serve a page on this machine to drop photos on"
    parser = add_command(subparsers, "serve", run, summary, DESCRIPTION, EPILOG)
    parser.add_argument(
        "--port", type=natural_int, default=8000, metavar="N", help="default 8000; 0: any free one"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--weights", metavar="FILE|NAME", help="as for `acnet predict`; default: the bundled ones"
    )
    parser.add_argument(
        "--engine", choices=("auto", *ENGINES), default="auto", help="as for `acnet predict`"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until somebody interrupts.

    Raises:
        UserError: The weights cannot be used, or the port is taken.
    """
    set_up_logging(logging.INFO)
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training
    from acnet.inference.predictor import load
    from acnet.photos.server import PhotoServer, Session

    server = PhotoServer(Session(load(args.weights, engine=args.engine)), args.port)
    sys.stdout.write(f"{server.url} (end by Ctrl-C)\n")
    sys.stdout.flush()
    if args.open:
        webbrowser.open(server.url)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
    return 0
