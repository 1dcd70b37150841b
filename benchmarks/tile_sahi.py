"""One run of SAHI's `slice_coco`, for benchmarks/tile.py; runs in SAHI's own environment."""

import argparse
import json
import sys
import time

from sahi.slicing import slice_coco


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", required=True, help="COCO file of the photos")
    parser.add_argument("--images", required=True, help="their folder")
    parser.add_argument("--output", required=True, help="folder of the tiles")
    parser.add_argument("--format", required=True, choices=("jpg", "png"))
    return parser


def main() -> None:
    """Cuts the tiles that `acnet data tile` cuts by default."""
    args = build_parser().parse_args()
    start = time.perf_counter()
    slice_coco(
        coco_annotation_file_path=args.annotations,
        image_dir=args.images,
        output_coco_annotation_file_name="tiles",
        output_dir=args.output,
        slice_height=640,
        slice_width=640,
        overlap_height_ratio=0.5,
        overlap_width_ratio=0.5,
        min_area_ratio=0.5,
        out_ext=f".{args.format}",
    )
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - start}) + "\n")


if __name__ == "__main__":
    main()
