"""Fine-tuning of trained weights on a small set, such as photos whose boxes a person corrected.

NOT IN PAPER: the stem and the first stage are frozen, since edges and colours of skin are the same
everywhere; the learning rate is a sixth of the one that the bundled weights ended with; and each
photo is seen in about forty crops. A quarter of the photos is held out, with copies of one photo
kept together, and tells whether it helped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acnet.config import change_config, config_of, load_config, save_config
from acnet.data.import_set import ImportedSet
from acnet.data.readers.formats import open_source
from acnet.data.split import SplitOptions, write_split
from acnet.errors import UserError
from acnet.evaluation.coco_files import read_ground_truth
from acnet.evaluation.columns import Detections, sort_detections, xyxy_to_xywh
from acnet.evaluation.protocol import compare
from acnet.export.metadata import ONNX
from acnet.files import default_workers
from acnet.inference.predictor import load
from acnet.inference.trained_model import find_weights
from acnet.photos.read import as_bgr

BASE = "demo/acnet_r18_longer"  # for its crops at many scales
TRAIN, HELD_OUT = "train", "held_out"
SHARES = {TRAIN: 0.75, HELD_OUT: 0.25}
FREEZE_AT = 2
LEARNING_RATE = 1e-4
STEPS_A_PHOTO, LEAST_STEPS, MOST_STEPS = 10, 200, 3000  # of four crops


@dataclass(frozen=True)
class FineTuning:
    """A run that can start: the weights that it starts from, its config, folder and data."""

    weights: Path
    config: Path
    output: Path
    data: ImportedSet


def prepare(start: str, data: Path, overrides: Sequence[str]) -> FineTuning:
    """Split a set, and write the config of a run on it into `train.output_dir`.

    Args:
        start: Weights, by name or path.
        data: A data set of any format that `acnet data import` reads, or a prepared one.
        overrides: Changes to the config, "path.key=value".

    Raises:
        UserError: The weights cannot be trained, or the set cannot be read or split.
    """
    weights = find_weights(start)
    if weights.suffix == ONNX:
        raise UserError(
            "Training goes on from a bundle or a checkpoint. Received the exported file "
            f"{weights}; give the weights that it was exported from."
        )
    trained, cfg = load_config(config_of(weights)), load_config(BASE)
    cfg.model, cfg.photos = trained.model, trained.get("photos", cfg.photos)
    cfg.optimizer.lr = LEARNING_RATE
    cfg.train.update(init_checkpoint=str(weights), output_dir="output/finetune")
    cfg.train.update(freeze_at=FREEZE_AT, max_iter=None, eval_period=0, ema={"enabled": False})
    change_config(cfg, overrides)
    folder = Path(cfg.train.output_dir)
    options = SplitOptions(shares=SHARES, workers=default_workers())
    split = write_split(folder / "data", open_source(data), options)
    if cfg.train.max_iter is None and cfg.train.epochs is None:
        steps = STEPS_A_PHOTO * len(split.splits[TRAIN])
        cfg.train.max_iter = min(max(steps, LEAST_STEPS), MOST_STEPS)
    names = cfg.dataloader.train
    names.dataset.names = names.mapper.dataset.names = f"{split.layout.folder}:{TRAIN}"
    cfg.dataloader.test.dataset.names = f"{split.layout.folder}:{HELD_OUT}"
    save_config(cfg, folder / "finetune.yaml")
    output = folder / "fast_dev_run" if cfg.train.fast_dev_run else folder
    return FineTuning(weights, folder / "finetune.yaml", output, split)


def before_and_after(run: FineTuning) -> str:
    """Say what AP50 was and is on the photos that were held out, predicted as users do it."""
    truth = read_ground_truth(run.data.layout.annotations(HELD_OUT))
    paths = [run.data.image_root / name for name in truth.file_names]
    found = [_detect(weights, paths) for weights in (run.weights, run.output)]
    ap50 = next(one for one in compare(truth, *found) if one.key.startswith("AP50"))
    photos = f"{truth.num_photos} held-out photo{'s' * (truth.num_photos > 1)}"
    if ap50.difference is None:
        return f"No lesion is on the {photos}, so nothing is compared.\n"
    text = f"AP50 on {photos}: {ap50.a:.1f} before, {ap50.b:.1f} after"
    if ap50.low is None:
        return f"{text}\n"
    text += f" ({ap50.difference:+.1f}, 95 % interval {ap50.low:+.1f} to {ap50.high:+.1f})"
    return f"{text}{'; this may be chance' if ap50.low <= 0 <= ap50.high else ''}\n"


def _detect(weights: Path, paths: Sequence[Path]) -> Detections:
    predictor = load(weights)
    found = [predictor.detect(as_bgr(path)) for path in paths]
    return sort_detections(
        photo=np.repeat(np.arange(len(found)), [len(one) for one in found]),
        classes=np.concatenate([one.classes for one in found]),
        boxes_xywh=xyxy_to_xywh(np.concatenate([one.boxes_xyxy for one in found])),
        scores=np.concatenate([one.scores for one in found]),
    )
