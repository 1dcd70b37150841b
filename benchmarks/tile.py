#!/usr/bin/env python
"""Cut large photos into tiles: `acnet data tile` against SAHI's `slice_coco`.

Both cut the same generated photos of 3112x3456 pixels, ACNE04's usual size, into tiles of 640 that
overlap by half, keep a box of which half is inside, and write every tile, empty or not, as JPEG of
quality 75 (SAHI writes Pillow's default and has no option) and as PNG. Each run has a process of
its own on two cores; what is timed starts after the imports, and the two take turns. The last line
is JSON: `ratio` is SAHI's time over ours for JPEG, times are medians in seconds a photo, and
`cpu_seconds` are those of all cores with the imports, which other work on the machine hardly moves.

SAHI is installed into an environment of its own below --work.
"""

import argparse
import collections
import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.data.prepared_set import PreparedLayout
from acnet.data.records import write_coco
from benchmarks.common import Run, peer_python, report, run
from benchmarks.photos import FEWEST_PHOTOS, SPLITS, draw_and_import

SAHI = ("sahi==0.12.8", "shapely==2.1.2")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this script's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=20, help="default 20")
    parser.add_argument("--runs", type=int, default=5, help="of JPEG, on each side; default 5")
    parser.add_argument(
        "--png-runs", type=int, default=1, help="SAHI takes 10 s a photo; default 1"
    )
    parser.add_argument("--cores", type=int, default=2, help="default 2")
    parser.add_argument(
        "--work", type=Path, default=Path("output/benchmarks/tile"), help="folder for everything"
    )
    parser.add_argument(
        "--quick", action="store_true", help="five photos, one run of JPEG, none of PNG"
    )
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    return parser


def work(side: str, image_format: str, *places: str) -> None:
    """Cut all tiles of all splits with one side, in a process of its own.

    Args:
        side: "ours" or "sahi".
        image_format: "jpg" or "png".
        places: of ours the prepared set; of SAHI's annotations, photos and output.
    """
    if side == "ours":
        from acnet.data.tiles.tile_plan import TileOptions
        from acnet.data.tiles.tile_set import tile_set
        from acnet.files import default_workers

        options = TileOptions(image_format=image_format, jpeg_quality=75, empty_share=1.0)
        start = time.perf_counter()
        tile_set(PreparedLayout.of_folder(Path(*places)), options, workers=default_workers())
    else:
        from sahi.slicing import slice_coco

        annotations, images, output = places
        start = time.perf_counter()
        slice_coco(
            coco_annotation_file_path=annotations,
            image_dir=images,
            output_coco_annotation_file_name="tiles",
            output_dir=output,
            slice_height=640,
            slice_width=640,
            overlap_height_ratio=0.5,
            overlap_width_ratio=0.5,
            min_area_ratio=0.5,
            out_ext=f".{image_format}",
        )
    report({"seconds": time.perf_counter() - start})


def prepare(work: Path, photos: int) -> tuple[PreparedLayout, Path]:
    """Draws and imports the photos.

    Args:
        work: folder for everything.
        photos: how many.

    Returns:
        The prepared set, and one COCO file of all its photos for SAHI.
    """
    imported = draw_and_import(work, photos, f"set_{photos}")
    records = [record for split in imported.splits.values() for record in split]
    everything = work / f"all_{photos}.json"
    write_coco(everything, records, imported.class_names)
    return imported.layout, everything


class Sides:
    """Both programs on the same photos.

    Args:
        layout: the prepared set.
        annotations: COCO file of all its photos.
        args: the parsed command line.
    """

    def __init__(self, layout: PreparedLayout, annotations: Path, args: argparse.Namespace) -> None:
        self._layout = layout
        self._annotations = annotations.resolve()
        self._cores = args.cores
        self._images = layout.folder / json.loads(layout.manifest.read_text())["image_root"]
        self._sahi = peer_python(args.work.resolve() / "sahi-env", SAHI)
        self.sahi_output = args.work.resolve() / "sahi"

    def ours(self, image_format: str) -> Run:
        """Runs `acnet data tile` from nothing.

        Args:
            image_format: "jpg" or "png".
        """
        shutil.rmtree(self._layout.tiles, ignore_errors=True)
        (self._layout.folder / "tiles.jsonl").unlink(missing_ok=True)
        words = [sys.executable, __file__, "--worker", "ours", image_format, self._layout.folder]
        return run(words, cores=self._cores)

    def sahi(self, image_format: str) -> Run:
        """Runs SAHI from nothing.

        Args:
            image_format: "jpg" or "png".
        """
        shutil.rmtree(self.sahi_output, ignore_errors=True)
        words = [self._sahi, __file__, "--worker", "sahi", image_format, self._annotations]
        return run([*words, self._images, self.sahi_output], cores=self._cores)


def compare(layout: PreparedLayout, sahi_output: Path) -> dict[str, int]:
    """Counts tiles and boxes that only one side has.

    Args:
        layout: the prepared set.
        sahi_output: SAHI's folder.

    Returns:
        Numbers of tiles and boxes of both, and of those that only one has.
    """
    (sahi_file,) = sahi_output.glob("*.json")
    ours = [read_tiles(layout.annotations(split, tiles=True)) for split in SPLITS]
    our_tiles, our_boxes = (ours[0][i] + ours[1][i] for i in (0, 1))
    sahi_tiles, sahi_boxes = read_tiles(sahi_file)
    return {
        "tiles": our_tiles.total(),
        "sahi_tiles": sahi_tiles.total(),
        "tiles_differ": ((our_tiles - sahi_tiles) + (sahi_tiles - our_tiles)).total(),
        "boxes": our_boxes.total(),
        "sahi_boxes": sahi_boxes.total(),
        "boxes_differ": ((our_boxes - sahi_boxes) + (sahi_boxes - our_boxes)).total(),
    }


def read_tiles(path: Path) -> tuple[collections.Counter, collections.Counter]:
    """Reads the tiles of either side, whose names differ.

    Args:
        path: COCO file of tiles.

    Returns:
        Tiles as (photo, left, top, width, height), and boxes as (tile, x, y, width, height).
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    tile_of_id = {}
    for image in content["images"]:
        if "offset_xy" in image:
            photo = Path(image["photo_file_name"]).stem
            place = tuple(image["offset_xy"])
        else:  # PHOTO_INDEX_left_top_right_bottom.jpg
            *names, _, left, top, _, _ = Path(image["file_name"]).stem.split("_")
            photo, place = "_".join(names), (int(left), int(top))
        tile_of_id[image["id"]] = (photo, *place, image["width"], image["height"])
    boxes = [(tile_of_id[a["image_id"]], *map(float, a["bbox"])) for a in content["annotations"]]
    return collections.Counter(tile_of_id.values()), collections.Counter(boxes)


def summary(ours: Sequence[Run], peer: Sequence[Run], *, photos: int) -> dict[str, object]:
    """Sums runs up.

    Args:
        ours: runs of ours.
        peer: as many of SAHI's.
        photos: in each.

    Returns:
        `ratio`, and medians a photo of wall time and of all cores' time, ours first.
    """
    wall, cpu = (
        [statistics.median(getattr(run_, key) for run_ in runs) / photos for runs in (ours, peer)]
        for key in ("seconds", "cpu_seconds")
    )
    return {
        "ratio": round(wall[1] / wall[0], 2),
        "ours": round(wall[0], 4),
        "peer": round(wall[1], 4),
        "runs": len(ours),
        "cpu_ratio": round(cpu[1] / cpu[0], 2),
        "cpu_seconds": [round(seconds, 4) for seconds in cpu],
        "peak_mb": [round(max(run_.peak_mb for run_ in runs)) for runs in (ours, peer)],
    }


def folder_mb(folder: Path, suffix: str) -> float:
    """Returns the size of a folder's pictures.

    Args:
        folder: not those below it.
        suffix: of the pictures.
    """
    return round(sum(path.stat().st_size for path in folder.glob(f"*{suffix}")) / 1e6, 1)


def main() -> None:
    """Measure, and write one line of JSON."""
    args = build_parser().parse_args()
    if args.worker:
        work(*args.worker)
        return
    if args.quick:
        args.photos, args.runs, args.png_runs = FEWEST_PHOTOS, 1, 0
    layout, annotations = prepare(args.work, args.photos)
    sides = Sides(layout, annotations, args)
    result: dict[str, object] = {"name": "tile", "photos": args.photos, "cores": args.cores}
    for image_format, runs in (("jpg", args.runs), ("png", args.png_runs)):
        if runs:
            pairs = [(sides.ours(image_format), sides.sahi(image_format)) for _ in range(runs)]
            prefix = "" if image_format == "jpg" else "png_"
            figures = summary(*zip(*pairs, strict=True), photos=args.photos)
            folders = (layout.tiles, sides.sahi_output)
            figures["disk_mb"] = [folder_mb(folder, image_format) for folder in folders]
            result |= {f"{prefix}{key}": value for key, value in figures.items()}
    report({**result, **compare(layout, sides.sahi_output)})


if __name__ == "__main__":
    main()
