"""`acnet serve` and `acnet review`: pages on this machine to see and to correct boxes."""

import argparse
import contextlib
import logging
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from acnet.cli.data import (
    add_source_arguments,
    command_line,
    open_given_results,
    open_given_source,
)
from acnet.cli.main import add_command, natural_int, path, set_up_logging
from acnet.errors import UserError, printable
from acnet.export.metadata import ENGINES

if TYPE_CHECKING:
    from acnet.photos.server import Site

DESCRIPTION = """\
Serve a page on 127.0.0.1, which nobody on another machine can open: drop photos on it, and see
boxes, counts, and what the threshold changes. Photos and results stay in the memory of this program
and are forgotten when it ends; tables can be saved from the page. End it by Ctrl-C.

--static DIR writes the page for any web server instead, and ends. There the visitor's browser finds
the lesions by onnxruntime-web, and photos never leave it. `npm pack onnxruntime-web` fetches the
.tgz that --runtime takes.
"""
EPILOG = """\
examples:
  acnet serve --open
  acnet serve --port 0 --weights model.onnx
  acnet serve --static page --runtime onnxruntime-web-1.30.0.tgz
"""
REVIEW = """\
Serve a page on 127.0.0.1 to correct boxes on: those that `acnet predict` found, or those of a data
set of any format that `acnet data import` reads. SRC is a folder of results, a data set, or a JSON
file. Photos whose number of lesions is the most uncertain come first. Boxes are drawn, moved,
resized and deleted by mouse, finger or keyboard; of results, detections somewhat below the score
that counts are suggested. Every change is kept in DIR, and the same command goes on with it.

The accepted photos become a prepared data set in DIR, by a button of the page and when this program
is ended by Ctrl-C; train_net.py takes it as DIR:train, or by its source's splits.
"""
REVIEW_EPILOG = """\
examples:
  acnet review results --output corrected --open
  acnet review results --image-root photos --output corrected
  acnet review acne.v3i.yolov8 --output corrected --copy-images
  acnet data check corrected
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `serve` and `review` to the command line."""
    summary = "serve a page on this machine to drop photos on"
    parser = add_command(subparsers, "serve", run, summary, DESCRIPTION, EPILOG)
    _add_page_options(parser)
    parser.add_argument(
        "--weights", metavar="FILE|NAME", help="as for `acnet predict`; default: the bundled ones"
    )
    parser.add_argument(
        "--engine", choices=("auto", *ENGINES), default="auto", help="as for `acnet predict`"
    )
    parser.add_argument(
        "--static", type=path, metavar="DIR", help="write the page there, for ONNX Runtime"
    )
    parser.add_argument(
        "--runtime",
        type=path,
        metavar="FILES",
        help="of --static: the npm package onnxruntime-web, as .tgz or folder",
    )
    summary = "correct found or annotated boxes on a page on this machine"
    parser = add_command(subparsers, "review", run_review, summary, REVIEW, REVIEW_EPILOG)
    add_source_arguments(parser)
    parser.add_argument(
        "--output",
        type=path,
        default=Path("corrected"),
        metavar="DIR",
        help="of the prepared set: new, or of an earlier review; default corrected",
    )
    parser.add_argument(
        "--copy-images", action="store_true", help="copy the photos to DIR/images as well"
    )
    _add_page_options(parser)


def _add_page_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=natural_int, default=8000, metavar="N", help="default 8000; 0: any free one"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve until somebody interrupts, or write the page's files.

    Raises:
        UserError: The weights cannot be used, the port is taken, or files cannot be written.
    """
    set_up_logging(logging.INFO)
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training
    if args.static is not None:
        return _write_static(args)
    if args.runtime is not None:
        raise UserError(
            "The engine of the static page is of no use without one. Received --runtime "
            f"{args.runtime}; add --static DIR."
        )
    from acnet.inference.predictor import load
    from acnet.photos.server import Session

    _serve(Session(load(args.weights, engine=args.engine)), args)
    return 0


def _write_static(args: argparse.Namespace) -> int:
    from acnet.export.metadata import read_export
    from acnet.inference.trained_model import find_count_rule, find_weights, load_model
    from acnet.photos.static_page import read_runtime, write_static_page

    runtime = read_runtime(args.runtime)
    model = load_model(find_weights(args.weights), engine="onnxruntime")  # tries the file as well
    size = write_static_page(
        args.static,
        runtime,
        model.weights,
        batch=read_export(model.weights).settings.batch,
        input_format=model.input_format,
        class_names=model.class_names,
        tiling=model.tiling,
        sizing=model.sizing,
        rule=find_count_rule(model.weights, model.sizing.merge_name),
    )
    sys.stdout.write(
        f"{args.static}: {size / 1e6:.0f} MB for any web server. To try it here: "
        f"python -m http.server --bind 127.0.0.1 --directory {args.static}\n"
    )
    return 0


def run_review(args: argparse.Namespace) -> int:
    """Serve until somebody interrupts, then write the set, if it is not written as it is by now.

    Raises:
        UserError: The source cannot be read, the folder holds something else, or the port is taken.
    """
    set_up_logging(logging.INFO)
    from acnet.data.import_set import ImportOptions
    from acnet.data.review import SUGGESTED_FROM, Review
    from acnet.files import default_workers

    source = open_given_source(args)
    if source.format == "results":
        least = SUGGESTED_FROM * source.threshold
        source = open_given_results(args, score_threshold=least, uncounted=True)
    command = command_line("review", args.output, args)
    options = ImportOptions(
        copy_images=args.copy_images, workers=default_workers(), command=command
    )
    review = Review(source, args.output, options)
    _serve(review, args)
    if not review.is_written:
        told = f"No photo is accepted yet; the changes are kept in {args.output}."
        sys.stdout.write(printable(review.write() if review.accepted() else told) + "\n")
    return 0


def _serve(site: "Site", args: argparse.Namespace) -> None:
    from acnet.photos.server import PhotoServer

    server = PhotoServer(site, args.port)
    sys.stdout.write(f"{server.url} (end by Ctrl-C)\n")
    sys.stdout.flush()
    if args.open:
        webbrowser.open(server.url)
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    sys.stdout.write("\n")
