"""The audit of a data set as a page that needs no network: numbers, histograms, findings, boxes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import acnet
from acnet.data.audit.checks import faulty_boxes
from acnet.data.audit.data_audit import Audit, holdings
from acnet.data.audit.findings import KINDS, Finding, Report, Statistics, count_edges, size_edges
from acnet.data.records import Annotated
from acnet.files import write_text
from acnet.templates import LIGHT, render
from acnet.visualization.svg import photo_data_uri, photo_svg, svg_figure

PAGE = "index.html"
SHOWN_FINDINGS = 8  # of each kind; the others are folded in
FOLDED_FINDINGS = 200  # a page of a million lines helps nobody
SHOWN_PHOTOS = 6  # of each kind
FIGURE_HEIGHT_PX = 220
MOST_TICKS = 8


def write_audit_page(folder: Path, audit: Audit, photos_root: Path | None = None) -> Path:
    """Write `index.html` into a folder, the same bytes for the same audit, and return its path.

    Without the folder of the photos, outlines and boxes are drawn alone, so that the page can be
    passed on where photos of faces cannot.
    """
    drawing = _Drawing(audit, photos_root)
    page = render(
        "audit.html.j2",
        title="Audit of a data set",
        version=acnet.__version__,
        with_photos=photos_root is not None,
        shown=SHOWN_FINDINGS,
        holdings=holdings(audit.report.statistics),
        splits=audit.report.statistics.splits.items(),
        summary=_summary(audit.report),
        figures=_figures(audit.report.statistics),
        kinds=[_kind(kind, audit.report, drawing) for kind in audit.report.counts()],
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


class _Drawing:
    """Draws the photos of findings."""

    def __init__(self, audit: Audit, photos_root: Path | None):
        self.photos_root = photos_root
        self.annotated = {photo.file_name: photo.annotated for photo in audit.photos}

    def of(self, findings: Sequence[Finding]) -> list[dict[str, Any]]:
        """Return the first photos that the findings name, drawn."""
        names = dict.fromkeys(name for f in findings for name in (f.file_name, *f.others))
        usable = [name for name in names if self.annotated.get(name) is not None]
        return [
            {"name": name, "svg": self._svg(self.annotated[name])} for name in usable[:SHOWN_PHOTOS]
        ]

    def _svg(self, photo: Annotated) -> Markup:
        picture = None
        if self.photos_root is not None:
            picture = photo_data_uri(self.photos_root, photo.file_name, photo.image_hw)
        faulty = np.any(list(faulty_boxes(photo.boxes_xyxy, photo.image_hw).values()), axis=0)
        drawable = np.isfinite(photo.boxes_xyxy).all(axis=1)
        boxes = {"found": photo.boxes_xyxy[~faulty], "missed": photo.boxes_xyxy[faulty & drawable]}
        alt = f"{len(photo.boxes_xyxy)} boxes of {photo.file_name}, {int(faulty.sum())} faulty"
        return photo_svg(photo.image_hw, boxes, alt=alt, picture=picture)


def _summary(report: Report) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "anchor": _anchor(kind), "severity": KINDS[kind].severity, "number": number}
        for kind, number in report.counts().items()
    ]


def _kind(kind: str, report: Report, drawing: _Drawing) -> dict[str, Any]:
    findings = [finding for finding in report.findings if finding.kind == kind]
    return {
        "kind": kind,
        "anchor": _anchor(kind),
        "severity": KINDS[kind].severity,
        "remedy": KINDS[kind].remedy,
        "findings": findings[:FOLDED_FINDINGS],
        "more": max(0, len(findings) - FOLDED_FINDINGS),
        "photos": drawing.of(findings),
    }


def _anchor(kind: str) -> str:
    return kind.lower().replace(" ", "-")


def _figures(statistics: Statistics) -> list[dict[str, Any]]:
    sizes, counts = statistics.sizes_px, statistics.counts
    if not len(sizes):
        return []
    size_alt = f"Histogram of {len(sizes)} box sizes"
    count_alt = f"Histogram of the number of boxes of {len(counts)} photos"
    size_caption = "Box sizes: square root of the area, clipped to the photo"
    height = FIGURE_HEIGHT_PX
    return [
        {"svg": svg_figure(name, draw, values, alt=alt, height_px=height), "caption": caption}
        for name, draw, values, alt, caption in (
            ("sizes", _draw_sizes, sizes, size_alt, size_caption),
            ("counts", _draw_counts, counts, count_alt, "Boxes a photo"),
        )
    ]


def _draw_sizes(figure: Figure, sizes_px: np.ndarray) -> None:
    axes = figure.add_subplot(xlabel="px", ylabel="boxes", xscale="log")
    axes.hist(sizes_px, bins=size_edges(sizes_px), color=LIGHT["found"], rwidth=0.9)
    ticks = size_edges(sizes_px)[:: max(1, len(size_edges(sizes_px)) // MOST_TICKS)]
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_counts(figure: Figure, counts: np.ndarray) -> None:
    axes = figure.add_subplot(xlabel="boxes", ylabel="photos")
    edges = count_edges(counts) - 0.5  # whole numbers lie in the middle of their bars
    axes.hist(counts, bins=edges, color=LIGHT["found"], rwidth=0.9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
