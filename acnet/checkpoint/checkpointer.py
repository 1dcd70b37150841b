"""detectron2's checkpointer, made safe against kills, hostile files and silent mismatches."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from fvcore.common.checkpoint import Checkpointer
from torch import nn

from acnet.errors import UnreadableFileError, UnsafeFileError, UserError
from acnet.files import durable_write, remove_stale

from .conventions import CONVENTIONS_KEY, conventions_of_model
from .load_report import AVERAGE, LoadPlan, LoadReport, plan_loading, take_average
from .safe_load import fetch, read_checkpoint, read_torch


class ACNetCheckpointer(DetectionCheckpointer):
    """Save so that a kill leaves a loadable checkpoint, load without running code, and report.

    It works wherever detectron2's `DetectionCheckpointer` does, hooks included. `report` tells what
    became of the file that was loaded last. Where a training kept a moving average of its weights,
    this is what anything but a resume gets.
    """

    AVERAGE = AVERAGE

    def __init__(
        self,
        model: nn.Module,
        save_dir: str | os.PathLike = "",
        *,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ):
        """Take a model, perhaps in a DistributedDataParallel, and what else to save and resume.

        `save_dir` is a local folder, to which no other training is saving, or "" to save never.
        With `save_to_disk=None` the main process alone saves. The checkpointables are objects with
        `state_dict()` and `load_state_dict()`.
        """
        super().__init__(model, os.fspath(save_dir), save_to_disk=save_to_disk, **checkpointables)
        self.logger = logging.getLogger(__name__)
        self.report: LoadReport | None = None
        self._source = ""
        self._is_resuming = False

    def save(self, name: str, **extra: Any) -> None:
        """Save model and checkpointables to `{save_dir}/{name}.pth` and tag it as the last one.

        Neither the file nor the tag is ever seen half written. There may be more to save, such as
        `iteration`: tensors, numbers, strings, plain containers.

        Raises:
            UnsafeFileError: something in it could not be loaded again without running code.
            UserError: the disk is full, or cannot be written for another reason.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        path = Path(self.save_dir) / f"{name}.pth"
        if path.name != f"{name}.pth":
            raise ValueError(f"A checkpoint's name has no folder in it. Received {name!r}.")
        content = {"model": self.model.state_dict()}
        content |= {key: part.state_dict() for key, part in self.checkpointables.items()}
        conventions = conventions_of_model(self.model)
        if conventions is not None:
            content[CONVENTIONS_KEY] = conventions
        self.logger.info("Saving checkpoint to %s", path)
        with durable_write(path) as temporary:
            _write({**content, **extra}, temporary, path)
            _check_loadable(temporary, path)
        self.tag_last_checkpoint(path.name)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Name the checkpoint to resume from, in the file `last_checkpoint`."""
        with durable_write(Path(self.save_dir) / "last_checkpoint") as temporary:
            temporary.write_text(last_filename_basename, encoding="utf-8")

    def has_checkpoint(self) -> bool:
        """Tell whether there is something in `save_dir` to resume from, tagged or not."""
        return bool(self.save_dir) and (super().has_checkpoint() or bool(self._model_files()))

    def get_all_checkpoint_files(self) -> list[str]:
        """Return the checkpoints in `save_dir`, sorted by name."""
        folder = Path(self.save_dir)
        return sorted(str(path) for path in folder.glob("*.pth") if not path.name.startswith("."))

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """Resume from the last checkpoint in `save_dir`, or else load weights only.

        Where the last checkpoint is missing or unreadable, the newest older one that can be read is
        resumed from, with a warning. Where there is none, `path` has the weights; "" for none.

        Returns:
            What the file holds beside the model and the checkpointables.

        Raises:
            UnreadableFileError: there are checkpoints, but none can be read.
            WeightsMismatchError: the checkpoint is of another model.
            UserError: the processes of a distributed training found different checkpoints.
        """
        if self.save_dir and self.save_to_disk:
            for stale in remove_stale(self.save_dir):
                self.logger.warning("Removed %s, which an interrupted save left behind", stale)
        self._is_resuming = resume and self.has_checkpoint()
        try:
            rest = self._resume() if self._is_resuming else self.load(path, checkpointables=[])
        finally:
            self._is_resuming = False
        sources = comm.all_gather(self._source)
        if len(set(sources)) > 1:
            raise UserError(
                "All processes must start from the same weights. Received, rank by rank, "
                f"{sources}; put train.output_dir on a file system that all machines share."
            )
        return rest

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load a checkpoint, or ImageNet weights into every ResNet of the model.

        The path is a file or address; "" loads nothing. Of the checkpointables all that the file
        holds are loaded, unless they are named. What else it holds is returned.

        Raises:
            UnreadableFileError: the file cannot be had, read or trusted.
            WeightsMismatchError: it does not fit the model or its input settings.
        """
        self.report, self._source = None, path
        local = fetch(path, self.path_manager) if path else path
        # Past DetectionCheckpointer.load, which takes a "?" in a path for the start of a query.
        return Checkpointer.load(self, local, checkpointables)

    def _load_file(self, filename: str) -> dict[str, Any]:
        return read_checkpoint(filename)

    def _load_model(self, checkpoint: dict[str, Any]) -> LoadPlan:
        if not self._is_resuming and take_average(checkpoint):
            self.logger.info("Taking the moving average of the weights from %s", self._source)
        plan = plan_loading(self.model, checkpoint, source=self._source)
        if self._is_resuming:
            plan.require_complete(
                rule="Resuming continues a training exactly, so the checkpoint must be of the same "
                "model.",
                remedy="Resume with that training's config.yaml, or start anew in another "
                "train.output_dir with this file as train.init_checkpoint=.",
            )
        self.model.load_state_dict(plan.state, strict=False)
        del checkpoint["model"]
        self.report = plan.report
        return plan

    def _log_incompatible_keys(self, incompatible: LoadPlan) -> None:
        incompatible.report.log(self.logger)

    def _resume(self) -> dict[str, Any]:
        failed = []
        for path in self._resume_candidates():
            try:
                rest = self.load(path)
            except UnreadableFileError as error:
                self.logger.warning("Cannot resume from %s: %s", path, error)
                failed.append(path)
                continue
            if failed:
                self.logger.warning(
                    "Resumed from %s in place of %s; what was trained in between is lost.",
                    path,
                    failed[0],
                )
            return rest
        raise UnreadableFileError(
            "Resuming needs a readable checkpoint. Received "
            f"{', '.join(failed)}, none of which can be read; bring one back, or train into a new "
            "train.output_dir."
        )

    def _resume_candidates(self) -> Iterator[str]:
        """Yield the tagged checkpoint, then the others from the newest to the oldest."""
        tagged = self.get_checkpoint_file()
        if tagged:
            yield tagged
        else:
            self.logger.warning("No last_checkpoint in %s; taking the newest one", self.save_dir)
        others = [path for path in self._model_files() if Path(path) != Path(tagged)]
        yield from sorted(others, key=_age)

    def _model_files(self) -> list[str]:
        files = self.get_all_checkpoint_files()
        return [path for path in files if Path(path).name.startswith("model_")]


def _write(content: dict[str, Any], temporary: Path, path: Path) -> None:
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        # Behind torch's RuntimeError about a position in the file is what the system said.
        said = error if isinstance(error, OSError) else error.__context__
        if not isinstance(said, OSError):
            raise
        raise UserError(
            f"A checkpoint needs a place where it can be written whole. Received {path}: "
            f"{said.strerror}. Make room there and go on with --resume; older checkpoints are kept."
        ) from error


def _check_loadable(temporary: Path, path: Path) -> None:
    """Refuse at the first save what would otherwise be refused when resuming."""
    try:
        read_torch(temporary, mmap=True)
    except UnsafeFileError as error:
        raise UnsafeFileError(
            f"{path} is not written, since it could not be loaded again. {error} Look at what "
            "state dicts and extra values hold; numpy's numbers have item()."
        ) from error


def _age(path: str) -> tuple[int, float, str]:
    """Sort newest first: by the iteration in the file, then by the time of saving."""
    try:
        iteration = read_checkpoint(path, mmap=True).get("iteration", -1)
    except UnreadableFileError:
        iteration = -1  # tried last, and then reported
    return -iteration, -Path(path).stat().st_mtime, path


def write_start(model: nn.Module, weights: str | os.PathLike, path: str | os.PathLike) -> str:
    """Write a file from which detectron2's own checkpointer starts a model as ours does.

    From an ImageNet file, or its address, it refuses to fill two ResNets ("Cannot match one
    checkpoint key to multiple keys in the model"). The model is that of the training's config, and
    is left as it is; the path ends in .pth, and is returned as a text.

    Example:
        cfg.MODEL.WEIGHTS = write_start(build_model(cfg), cfg.MODEL.WEIGHTS, "start.pth")
    """
    checkpoint = read_checkpoint(fetch(os.fspath(weights), PathManager))
    plan = plan_loading(model, checkpoint, source=os.fspath(weights))
    with durable_write(Path(path)) as temporary:
        torch.save({"model": plan.state}, temporary)
    return os.fspath(path)
