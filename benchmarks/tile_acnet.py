"""One run of `acnet data tile`, for benchmarks/tile.py."""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this clone, not an installed one

from acnet.data.parallel import default_workers
from acnet.data.prepared_set import PreparedLayout
from acnet.data.tiles.tile_plan import FORMATS, TileOptions
from acnet.data.tiles.tile_set import tile_set


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of this script's command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=Path, help="prepared set")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--quality", type=int, default=75)
    return parser


def main() -> None:
    """Cuts all tiles of all splits."""
    args = build_parser().parse_args()
    options = TileOptions(image_format=args.format, jpeg_quality=args.quality, empty_share=1.0)
    start = time.perf_counter()
    tile_set(PreparedLayout.of_folder(args.set), options, workers=default_workers())
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - start}) + "\n")


if __name__ == "__main__":
    main()
