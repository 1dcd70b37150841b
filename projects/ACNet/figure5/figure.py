"""The page of Fig. 5: ground truth and models side by side, and what their mask attention sees.

Photos are chosen by a rule, and saliency is painted by one scale from 0 to 1, so that maps can be
compared.

Shape shorthand: (h, w) is a map over the whole photo, of whatever resolution.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np

import acnet
from acnet.data.readers.safe_files import member
from acnet.errors import UserError
from acnet.evaluation.columns import Detections, GroundTruth
from acnet.evaluation.protocol import evaluate
from acnet.evaluation.result import EvaluationOptions, EvaluationResult, PhotoRow
from acnet.files import write_json, write_text
from acnet.templates import render
from acnet.visualization.report.photo_views import PhotoBoxes, base_name
from acnet.visualization.svg import photo_data_uri, photo_svg

PAGE, NUMBERS = "index.html", "figure5.json"
# Rises in lightness alone from end to end, so readers who see few colours read it as well.
COLORMAP = "viridis"
LONGEST_PX = 320  # a map has a value for 8 x 8 pixels; more would be interpolation
LEGEND_STOPS = 9
GROUPS = {
    "gains": "Where {last} gains most over {first}",
    "losses": "Where {last} loses most against {first}",
    "random": "Drawn by chance from the other photos",
}


@dataclass(frozen=True)
class SaliencyModel:
    """A model whose mask attention is shown."""

    name: str  # as the page calls it
    saliency: Callable[[Path], np.ndarray]  # (h, w) in [0, 1] of a photo, as `Predictor.saliency`


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
    """Write a page that needs no network and no other file, and its numbers as JSON.

    The last model is compared with the first. Each is shown at its own threshold, that of one false
    alarm a photo on all photos, so that none looks better by saying more.

    Args:
        folder: where `index.html` and `figure5.json` go.
        predictions: of the models by name, at least two, on the photos of the ground truth.
        photos_root: folder that the ground truth's file names start from.
        each: photos of each group: largest gain, largest loss, by chance of the seed.
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
        name: evaluate(ground_truth, one, options=options) for name, one in predictions.items()
    }
    names, (first, *_, last) = list(results), results.values()
    chosen = choose(first.photos, last.photos, each=each, seed=seed)
    drawing = _Drawing(results, photos_root, saliency_models)
    groups = [
        {
            "key": key,
            "title": title.format(first=names[0], last=names[-1]),
            "photos": [drawing.view(index) for index in chosen[key]],
        }
        for key, title in GROUPS.items()
    ]
    gain = gains(first.photos, last.photos)
    summary = {
        "models": [_model(name, result) for name, result in results.items()],
        "photos": ground_truth.num_photos,
        "lesions": int(ground_truth.counts().sum()),
        "changes": {
            "fewer": int((gain > 0).sum()),
            "more": int((gain < 0).sum()),
            "equal": int((gain == 0).sum()),
        },
        "each": each,
        "seed": seed,
    }
    page = render(
        Path(__file__).with_name("figure5.html.j2"),
        title=f"{names[-1]} beside {names[0]}, photo by photo",
        version=acnet.__version__,
        command=command,
        summary=summary,
        groups=groups,
        saliency_names=[model.name for model in saliency_models],
        legend=legend_css(),
    )
    shown = {group["key"]: [_without_svg(photo) for photo in group["photos"]] for group in groups}
    numbers = {"acnet": acnet.__version__, **summary, "chosen": chosen, **shown}
    write_json(folder / NUMBERS, numbers, indent=2)
    write_text(folder / PAGE, page)
    return folder / PAGE


def choose(
    first: Sequence[PhotoRow], second: Sequence[PhotoRow], *, each: int, seed: int
) -> dict[str, list[int]]:
    """Choose photos by how much two models differ, in both directions, and some by chance.

    NOT IN PAPER: how its five photos were chosen. Photos chosen by hand show what the chooser
    likes; this rule is fixed before anybody looks.

    Returns:
        Indices of photos by group, none twice: "gains", largest first, and "losses", largest
        first, of equal ones the earlier photo; "random" in the order of the ground truth. There are
        `each` of a group, where there are so many.
    """
    gain = gains(first, second)
    order = np.argsort(-gain, kind="stable")
    up = order[gain[order] > 0][:each]
    order = np.argsort(gain, kind="stable")
    down = order[gain[order] < 0][:each]
    rest = np.setdiff1d(np.arange(len(gain)), np.concatenate([up, down]))
    rng = np.random.default_rng(seed)
    random = np.sort(rng.choice(rest, min(each, len(rest)), replace=False))
    return {key: group.tolist() for key, group in zip(GROUPS, (up, down, random), strict=True)}


def gains(first: Sequence[PhotoRow], second: Sequence[PhotoRow]) -> np.ndarray:
    """Return how many false alarms and missed lesions fewer the second model has, (P,)."""
    errors = [[row.false + row.missed for row in rows] for rows in (first, second)]
    return np.subtract(*np.array(errors, dtype=np.int64).reshape(2, -1))


def heat_data_uri(saliency: np.ndarray) -> str:
    """Paint a map (h, w) in [0, 1] by one scale for all maps, as a PNG in a `data:` URI."""
    shrink = LONGEST_PX / max(saliency.shape)
    if shrink < 1:
        size_wh = tuple(max(1, round(side * shrink)) for side in reversed(saliency.shape))
        saliency = cv2.resize(saliency, size_wh, interpolation=cv2.INTER_AREA)
    rgb = (matplotlib.colormaps[COLORMAP](saliency.clip(0, 1))[..., :3] * 255).round()
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]).astype(np.uint8))
    return "data:image/png;base64," + base64.b64encode(encoded).decode("ascii")


def legend_css() -> str:
    """Return the scale as a CSS gradient, 0 at its left end and 1 at its right."""
    stops = matplotlib.colormaps[COLORMAP](np.linspace(0, 1, LEGEND_STOPS))
    colors = ", ".join(matplotlib.colors.to_hex(stop) for stop in stops)
    return f"linear-gradient(to right, {colors})"


def contrast(
    saliency: np.ndarray, boxes_xyxy: np.ndarray, image_hw: tuple[int, int]
) -> dict[str, float | None]:
    """Return the means of a map "inside" and "outside" of (N, 4) boxes in pixels of the photo.

    Each is over the map's own pixels, (h, w) of them: one belongs to a box that holds its centre.
    It is None where there is no pixel.
    """
    height, width = saliency.shape
    x = (np.arange(width) + 0.5) * image_hw[1] / width
    y = (np.arange(height) + 0.5) * image_hw[0] / height
    inside = np.zeros(saliency.shape, dtype=bool)
    for x0, y0, x1, y1 in boxes_xyxy:
        inside |= ((y0 <= y) & (y < y1))[:, None] & ((x0 <= x) & (x < x1))
    sides = {"inside": saliency[inside], "outside": saliency[~inside]}
    return {side: float(part.mean()) if part.size else None for side, part in sides.items()}


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
        """Return what the template shows of a photo."""
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
        return {"name": model.name, **means, "svg": svg}


def _model(name: str, result: EvaluationResult) -> dict[str, Any]:
    rows = result.photos
    return {
        "name": name,
        "AP50": result.detection["AP50@1000"],
        "threshold": result.operating_threshold,
        "threshold_source": result.threshold_source,
        **{key: sum(getattr(row, key) for row in rows) for key in ("matched", "missed", "false")},
    }


def _without_svg(view: dict) -> dict:
    """Leave out the pictures of a photo or a panel."""
    return {
        key: [_without_svg(panel) for panel in value] if isinstance(value, list) else value
        for key, value in view.items()
        if not key.endswith("svg")
    }
