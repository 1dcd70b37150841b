"""`acnet predict`: from photos to boxes, counts, pictures and a page to look at."""

import argparse
import dataclasses
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import acnet
from acnet.cli._predict_options import DESCRIPTION, EPILOG, add_options
from acnet.cli.arguments import hide_library_noise
from acnet.config import config_of
from acnet.errors import UserError

if TYPE_CHECKING:
    from detectron2.config import CfgNode
    from omegaconf import DictConfig

    from acnet.inference import Predictor
    from acnet.inference.counts import CountRule
    from acnet.inference.folder import Outcome
    from acnet.inference.optimize import Optimizations
    from acnet.inference.ranks import Ranks
    from acnet.inference.results import PhotoResult

logger = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 0.5
EXIT_INTERRUPTED = 130


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `predict` to the command line.

    Args:
        subparsers: Of the main parser.
    """
    parser = subparsers.add_parser(
        "predict",
        help="find lesions in photos",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict the photos and say what was found.

    Args:
        args: The parsed command line.

    Returns:
        The exit status: 0, or 1 where a photo could not be read. Of several processes the first
        alone says so, lest torchrun end the others.

    Raises:
        UserError: There is no photo, or config, weights or output cannot be used.
    """
    _hide_noise()
    from acnet.inference.ranks import ranks_from

    ranks = ranks_from()
    _set_up_logging(ranks)
    try:
        outcome = _predict(args, ranks)
    except KeyboardInterrupt:
        sys.stderr.write("acnet: interrupted; the same command goes on from here\n")
        return EXIT_INTERRUPTED
    if outcome is None:
        return 0
    sys.stdout.write(_as_json(args, outcome) if args.json else _summary(args, outcome))
    if outcome.failed:
        names = [photo.name for photo in outcome.failed]
        sys.stderr.write("\n  ".join([f"left out, {len(names)} unreadable:", *names]) + "\n")
    return 1 if outcome.failed else 0


def _predict(args: argparse.Namespace, ranks: "Ranks") -> "Outcome | None":
    from acnet.checkpoint.bundle import resolve_weights
    from acnet.files import file_sha256
    from acnet.inference.fingerprint import digest, predictor_digest
    from acnet.inference.folder import predict_folder
    from acnet.inference.pictures import DrawingOptions
    from acnet.inference.sources import find_photos

    sources = find_photos(args.images)
    _check_output(args)
    weights = resolve_weights(args.weights)
    config = _load_config(args, weights)
    _choose_gpu(ranks)
    predictor = _make_predictor(args, config, weights)
    _check_attention(args, predictor.has_saliency)
    rule = _count_rule(args, weights, predictor)
    drawing = DrawingOptions(
        score_threshold=rule.threshold,
        labels=args.labels,
        suffix=f".{args.picture_format}",
        attention=args.attention,
        share=args.share,
    )
    return predict_folder(
        predictor,
        sources,
        args.output,
        rule=rule,
        drawing=drawing,
        deciding=digest([file_sha256(weights), predictor_digest(predictor, config)]),
        ranks=ranks,
        max_megapixels=args.max_megapixels,
    )


def _load_config(args: argparse.Namespace, weights: Path) -> "DictConfig | CfgNode":
    from acnet.config import load_config
    from acnet.export.metadata import is_export
    from acnet.inference.yacs_config import is_yacs_file, load_yacs_config

    if is_export(weights) and (args.config_file or args.opts or args.compile):
        raise UserError(
            "An exported file holds the config that its model was built by, takes no other, and is "
            f"compiled by its engine. Received --weights {weights} with --config-file, --opts or "
            "--compile; leave these out, or export again."
        )
    config = args.config_file or config_of(weights)
    if not is_yacs_file(Path(config)):
        return load_config(config, args.opts)
    if args.opts:
        raise UserError(
            "--opts changes values of a LazyConfig. Received it with the yaml "
            f"{config} of detectron2's older kind; change the values there."
        )
    return load_yacs_config(Path(config))


def _make_predictor(
    args: argparse.Namespace, config: "DictConfig | CfgNode", weights: Path
) -> "Predictor":
    from acnet.export.metadata import is_export
    from acnet.inference import MergeOptions, Predictor

    chosen = {"method": args.merge, "max_detections": args.max_detections}
    try:
        merge = MergeOptions(**{name: value for name, value in chosen.items() if value is not None})
    except ValueError as error:
        raise UserError(f"{error}") from error
    predictor = Predictor(
        None if is_export(weights) else config,
        weights,
        args.device,
        merge=merge,
        precision=args.precision,
        optimize=_optimizations(args),
        engine=args.engine,
    )
    tiling = {"overlap_px": args.tile_overlap, "batch_size": args.tile_batch}
    tiling = {name: value for name, value in tiling.items() if value is not None}
    if args.tile_size is not None:
        tiling["tile_px"] = None if args.tile_size == "whole" else args.tile_size
        _check_tile_size(tiling["tile_px"], predictor)
    predictor.tiling = dataclasses.replace(predictor.tiling, **tiling)
    return predictor


def _optimizations(args: argparse.Namespace) -> "Optimizations":
    from acnet.inference.optimize import NOTHING, Optimizations

    chosen = Optimizations() if args.optimize else NOTHING
    return dataclasses.replace(chosen, compile=args.compile)


def _check_tile_size(tile_px: int | None, predictor: "Predictor") -> None:
    if predictor.tiling.exact and tile_px != predictor.tiling.tile_px:
        raise UserError(
            "An exported model takes tiles of the one size that it was exported for. Received "
            f"--tile-size {tile_px or 'whole'}; leave it out, or export again with another --tile."
        )


def _check_output(args: argparse.Namespace) -> None:
    if args.output.exists() and not args.output.is_dir():
        raise UserError(
            "The results are several files, so --output is a folder. "
            f"Received the file {args.output}; name another place."
        )


def _choose_gpu(ranks: "Ranks") -> None:
    import torch

    if ranks.has_others and torch.cuda.is_available():
        torch.cuda.set_device(ranks.local_rank % torch.cuda.device_count())


def _check_attention(args: argparse.Namespace, has_saliency: bool) -> None:
    if args.attention and args.share:
        raise UserError(
            "--attention draws on the whole photo, which --share keeps out of the results. "
            "Received both; leave one of them out."
        )
    if args.attention and not has_saliency:
        raise UserError(
            "--attention shows what the mask attention (MAMA) sees. Received a config whose model "
            "has none, or an exported file; leave --attention out."
        )


def _count_rule(args: argparse.Namespace, weights: Path, predictor: "Predictor") -> "CountRule":
    """Choose the threshold: of the count model that was given, or that is in the bundle."""
    from acnet.evaluation.count_model import check_merge, read_count_model
    from acnet.export.metadata import texts_beside
    from acnet.inference.counts import CountRule

    model, source = None, ""
    if args.count_model is not None:
        if args.score_threshold is not None:
            raise UserError(
                "A count model brings the score threshold that was fitted with it. Received "
                "--count-model and --score-threshold; leave one of them out."
            )
        model, source = read_count_model(args.count_model), f"--count-model {args.count_model}"
    elif args.score_threshold is None and (beside := texts_beside(weights)) is not None:
        model, source = beside.count_model, f"{weights}"
    if model is None:
        logger.warning(
            "Counts come without interval and grade, which need a threshold that `acnet calibrate` "
            "fitted: give its file as --count-model."
        )
        threshold = args.score_threshold
        return CountRule(threshold=DEFAULT_THRESHOLD if threshold is None else threshold)
    check_merge(model, predictor.merge_name, source=source)
    return CountRule(threshold=model.threshold, model=model)


def _summary(args: argparse.Namespace, outcome: "Outcome") -> str:
    lesions = sum(result.count.count for result in outcome.results)
    pictures = "schematics, crops" if args.share else "pictures"
    return (
        f"{lesions} lesions (score {outcome.rule.threshold:.3g} or more) in "
        f"{len(outcome.results)} photos\n"
        f"written to {args.output}: index.html, {pictures}, counts.csv, predictions.json, "
        "images.json\n"
    )


def _as_json(args: argparse.Namespace, outcome: "Outcome") -> str:
    rule = outcome.rule
    document = {
        "acnet": acnet.__version__,
        "output": str(args.output),
        "threshold": rule.threshold,
        "count_model": None if rule.model is None else dataclasses.asdict(rule.model),
        "photos": [_photo_json(result) for result in outcome.results],
        "failed": [{"photo": one.name, "reason": one.reason} for one in outcome.failed],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _photo_json(result: "PhotoResult") -> dict:
    return {
        "id": result.image_id,
        "photo": result.name,
        "width": result.image_hw[1],
        "height": result.image_hw[0],
        **dataclasses.asdict(result.count),
        "seconds": round(result.seconds, 2),
        "files": dict(result.files),
        "lesions": result.rows,
    }


def _set_up_logging(ranks: "Ranks") -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    level = logging.INFO if ranks.is_first else logging.ERROR
    logging.getLogger("acnet").setLevel(level)
    logging.getLogger("acnet.checkpoint").setLevel(logging.ERROR)  # its report is for training


def _hide_noise() -> None:
    hide_library_noise()
    # Of damaged photos the error tells enough, and large ones are meant to be large.
    warnings.filterwarnings("ignore", module=r"PIL\.")
