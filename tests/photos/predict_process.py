"""One process of a prediction, for tests that start several or kill them.

    python predict_process.py PHOTOS OUTPUT [--seconds X] [--die-at N]

Writes OUTPUT.rankR.log with a line for each photo that it predicts.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from acnet.photos.sources import ranks_from
from tests.photos.bright_square import BrightSquare, predict


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=0.0, help="that each photo takes")
    parser.add_argument("--die-at", type=int, default=0, help="photo in which to be killed, from 1")
    args = parser.parse_args()
    ranks = ranks_from()
    log = args.output.with_name(f"{args.output.name}.rank{ranks.rank}.log")

    def before(photo_bgr) -> None:
        with log.open("a") as file:
            file.write("photo\n")
        time.sleep(args.seconds)
        if predictor.calls == args.die_at:
            os.kill(os.getpid(), 9)

    predictor = BrightSquare(before)
    predict(args.photos, args.output, predictor, ranks=ranks)


if __name__ == "__main__":
    main()
