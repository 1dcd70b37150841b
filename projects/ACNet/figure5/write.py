"""The page of Fig. 5: ground truth and models side by side, and what their mask attention sees."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import acnet
from acnet.data.readers.safe_files import member
from acnet.errors import UserError
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.evaluation import evaluate
from acnet.evaluation.result import EvaluationOptions, EvaluationResult
from acnet.files import write_json, write_text
from acnet.visualization.figure5.choose import Chosen, changes, choose, gains
from acnet.visualization.figure5.heat import contrast, heat_data_uri, legend_css
from acnet.visualization.report.photo_boxes import PhotoBoxes
from acnet.visualization.report.photo_parts import base_name
from acnet.visualization.report.pictures import photo_data_uri
from acnet.visualization.report.schematic import photo_svg
from acnet.visualization.templates import render

PAGE = "index.html"
NUMBERS = "figure5.json"


@dataclass(frozen=True)
class SaliencyModel:
    """A model whose mask attention is shown.

    Args:
        name: as the page calls it.
        saliency: of a photo's path gives (h, w) in [0, 1]; such as `Predictor.saliency`.
    """

    name: str
    saliency: Callable[[Path], np.ndarray]


def write_figure5(
    folder: Path,
    ground_truth: GroundTruth,
    predictions: Mapping[str, Detections],
    *,
    photos_root: Path,
    saliency_models: Sequence[SaliencyModel] = (),
    each: int = 2,
    seed: int = 0,
    command: str = "",
) -> Path:
    """Writes a page that needs no network and no other file, and its numbers as JSON.

    The last model is compared with the first. Each is shown at its own threshold, that of one false
    alarm a photo on all photos, so that none looks better by saying more.

    Args:
        folder: where `index.html` and `figure5.json` go.
        ground_truth: of all photos.
        predictions: of the models by name, at least two.
        photos_root: folder that the ground truth's file names start from.
        saliency_models: shown beside each other for the same photos; may be none.
        each: photos of each group: largest gain, largest loss, by chance.
        seed: of the chance.
        command: that repeats this, for the page.

    Returns:
        The path of the page.

    Raises:
        UserError: fewer than two models, or a photo is missing or another one.
    """
    if len(predictions) < 2:
        raise UserError(
            "The figure shows where models differ, so it takes two or more. Received "
            f"{len(predictions)}; give the predictions of another model too."
        )
    options = EvaluationOptions(replicates=0)
    results = {
        name: evaluate(ground_truth, detections, options=options)
        for name, detections in predictions.items()
    }
    names, (first, *_, last) = list(results), results.values()
    chosen = choose(first.photos, last.photos, each=each, seed=seed)
    drawing = _Drawing(results, photos_root, saliency_models)
    groups = [
        {**group, "photos": [drawing.view(index) for index in indices]}
        for group, indices in zip(_titles(names), dataclasses.astuple(chosen), strict=True)
    ]
    summary = {
        "models": [_model(name, result) for name, result in results.items()],
        "photos": ground_truth.num_photos,
        "lesions": int(ground_truth.counts().sum()),
        "changes": changes(gains(first.photos, last.photos)),
        "each": each,
        "seed": seed,
    }
    page = render(
        "figure5.html.j2",
        title=f"{names[-1]} beside {names[0]}, photo by photo",
        version=acnet.__version__,
        command=command,
        summary=summary,
        groups=groups,
        saliency_names=[model.name for model in saliency_models],
        legend=legend_css(),
    )
    write_json(folder / NUMBERS, _numbers(summary, groups, chosen), indent=2)
    write_text(folder / PAGE, page)
    return folder / PAGE


def _titles(names: Sequence[str]) -> list[dict[str, str]]:
    first, last = names[0], names[-1]
    return [
        {"key": "gains", "title": f"Where {last} gains most over {first}"},
        {"key": "losses", "title": f"Where {last} loses most against {first}"},
        {"key": "random", "title": "Drawn by chance from the other photos"},
    ]


def _model(name: str, result: EvaluationResult) -> dict[str, Any]:
    rows = result.photos
    return {
        "name": name,
        "AP50": result.detection["AP50@1000"],
        "threshold": result.operating_threshold,
        "threshold_source": result.threshold_source,
        **{key: sum(getattr(row, key) for row in rows) for key in ("matched", "missed", "false")},
    }


def _numbers(summary: dict, groups: Sequence[dict], chosen: Chosen) -> dict[str, Any]:
    """Returns what the page says, without its pictures."""
    shown = {
        group["key"]: [
            {
                "name": photo["name"],
                "lesions": photo["lesions"],
                "models": [_without_svg(panel) for panel in photo["models"]],
                "saliency": [_without_svg(panel) for panel in photo["saliency"]],
            }
            for photo in group["photos"]
        ]
        for group in groups
    }
    return {"acnet": acnet.__version__, **summary, "chosen": dataclasses.asdict(chosen), **shown}


def _without_svg(panel: dict) -> dict:
    return {key: value for key, value in panel.items() if key != "svg"}


class _Drawing:
    """Draws the panels of one photo."""

    def __init__(
        self,
        results: Mapping[str, EvaluationResult],
        photos_root: Path,
        saliency_models: Sequence[SaliencyModel],
    ):
        self.results = results
        self.boxes = {name: PhotoBoxes(result) for name, result in results.items()}
        self.truth = next(iter(results.values())).ground_truth
        self.photos_root = photos_root
        self.saliency_models = saliency_models

    def view(self, index: int) -> dict[str, Any]:
        """Returns what the template shows of a photo."""
        file_name = self.truth.file_names[index]
        image_hw = tuple(self.truth.image_hw[index].tolist())
        photo = photo_data_uri(self.photos_root, file_name, image_hw)
        mine = (self.truth.photo == index) & ~self.truth.crowd
        lesions_xyxy = self.truth.boxes_xyxy[mine]
        alt = f"{len(lesions_xyxy)} lesions in {base_name(file_name)}"
        return {
            "name": base_name(file_name),
            "lesions": len(lesions_xyxy),
            "truth_svg": photo_svg(image_hw, {"truth": lesions_xyxy}, alt=alt, picture=photo),
            "models": [self._model_panel(name, index, image_hw, photo) for name in self.results],
            "saliency": [
                self._saliency_panel(model, file_name, image_hw, lesions_xyxy)
                for model in self.saliency_models
            ],
        }

    def _model_panel(self, model: str, index: int, image_hw: tuple, picture: str) -> dict[str, Any]:
        row = self.results[model].photos[index]
        alt = f"{model}: {row.matched} found, {row.missed} missed, {row.false} false alarms"
        boxes_xyxy = self.boxes[model].of_photo(index)
        counts = {key: getattr(row, key) for key in ("matched", "missed", "false")}
        svg = photo_svg(image_hw, boxes_xyxy, alt=alt, picture=picture)
        return {"name": model, **counts, "svg": svg}

    def _saliency_panel(
        self, model: SaliencyModel, file_name: str, image_hw: tuple, lesions_xyxy: np.ndarray
    ) -> dict[str, Any]:
        saliency = model.saliency(member(self.photos_root, file_name))
        means = contrast(saliency, lesions_xyxy, image_hw)
        alt = f"Saliency of the model {model.name}, with the boxes of the lesions"
        picture = heat_data_uri(saliency)
        svg = photo_svg(image_hw, {"truth": lesions_xyxy}, alt=alt, picture=picture)
        return {"name": model.name, **dataclasses.asdict(means), "svg": svg}
