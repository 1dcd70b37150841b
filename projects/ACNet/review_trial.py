"""A trial of correcting and fine-tuning, as docs/lab/toy_benchmark.md tells it.

    python projects/ACNet/review_trial.py draw DST --photos 80 --seed 11
    acnet predict DST/photos --output DST/results
    acnet review DST/results --output DST/corrected --port 8765
    python projects/ACNet/review_trial.py correct DST/truth.json --url http://127.0.0.1:8765

`correct` is a person at the review's page who knows the truth. It asks the page's server for the
photos, in the page's order, and for each photo's boxes, and sends them corrected and accepted.
"""

import argparse
import json
import sys
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import torch
from torchvision.ops import box_iou

from acnet.data.records import ImageRecord, write_coco
from acnet.data.toy.toy_photo import ToyOptions, draw_photo
from acnet.photos.decode import write_jpeg

LIGHT_BGR = (0.72, 0.9, 1.12)  # of a warm lamp
GAMMA = 1.6  # darker
BLUR_PX = 1.4  # of a soft lens
JPEG_QUALITY = 60
LEAVE_IOU, MOVE_IOU = 0.75, 0.3  # a box that is nearly right stays; one beside a lesion is moved


def another_look(photo_bgr: np.ndarray) -> np.ndarray:
    """Return a photo (H, W, 3) uint8 as another camera takes it: dark, warm and soft."""
    light = (photo_bgr / 255.0) ** GAMMA * LIGHT_BGR
    soft = cv2.GaussianBlur(light, (0, 0), BLUR_PX)
    return (np.clip(soft, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def draw(dst: Path, photos: int, seed: int) -> None:
    """Write photos of 640x640 pixels, and their boxes as COCO annotations."""
    options = ToyOptions(seed=seed, sizes_px=(640,), lesion_px=(10, 120), density=2, paired=True)
    records = []
    for index in range(photos):
        photo = draw_photo(options, index)
        name = f"{index:04}.jpg"
        write_jpeg(dst / "photos" / name, another_look(photo.image_bgr), quality=JPEG_QUALITY)
        boxes = {
            "boxes_xyxy": photo.boxes_xyxy,
            "classes": np.zeros(len(photo.boxes_xyxy), np.int64),
        }
        records.append(ImageRecord(file_name=name, width=640, height=640, **boxes))
    write_coco(dst / "truth.json", records, ["acne"])


def correct(truth: Path, url: str) -> None:
    """Correct and accept every photo, write the set, and say what was done to the boxes."""
    content = json.loads(truth.read_text())
    ids = {image["file_name"]: image["id"] for image in content["images"]}
    done = dict.fromkeys(("left", "moved", "added", "deleted"), 0)
    for number, row in enumerate(_ask(f"{url}/photos.json")["photos"]):
        photo = _ask(f"{url}/boxes/{number}.json")
        shown = [box for box in photo["boxes"] if box["taken"]]
        boxes = [
            one["bbox"] for one in content["annotations"] if one["image_id"] == ids[row["name"]]
        ]
        kept = _corrected(shown, [[x, y, x + w, y + h] for x, y, w, h in boxes], done)
        _ask(f"{url}/boxes/{number}", {"boxes": kept, "accepted": True})
    told = _ask(f"{url}/write", "")["told"]
    sys.stdout.write(f"{told} {done}\n")


def _corrected(shown: list[dict], truth_xyxy: list[list], done: dict[str, int]) -> list[dict]:
    """Return the boxes as the person leaves them, best scores first; count what is `done`."""
    kept, open_xyxy = [], list(truth_xyxy)
    for box in sorted(shown, key=lambda box: -box["score"]):
        others = torch.tensor(open_xyxy).reshape(-1, 4)
        overlaps = box_iou(torch.tensor([box["xyxy"]]), others)[0].tolist()
        best = int(np.argmax(overlaps)) if overlaps else None
        if best is None or overlaps[best] < MOVE_IOU:
            done["deleted"] += 1
            continue
        lesion = open_xyxy.pop(best)
        is_left = overlaps[best] >= LEAVE_IOU
        done["left" if is_left else "moved"] += 1
        kept.append(box if is_left else box | {"xyxy": lesion})
    done["added"] += len(open_xyxy)
    new = {"name": "acne", "score": None, "taken": True}
    return kept + [{"xyxy": lesion, **new} for lesion in open_xyxy]


def _ask(url: str, sent: object = None) -> dict:
    body = None if sent is None else json.dumps(sent).encode() if sent else b""
    request = urllib.request.Request(url, body, {"X-ACNet": "1"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"{}")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(description="A trial of correcting and fine-tuning.")
    actions = parser.add_subparsers(dest="action", required=True)
    drawing = actions.add_parser("draw")
    drawing.add_argument("dst", type=Path)
    drawing.add_argument("--photos", type=int, default=80)
    drawing.add_argument("--seed", type=int, default=11)
    drawing.set_defaults(run=lambda args: draw(args.dst, args.photos, args.seed))
    correcting = actions.add_parser("correct")
    correcting.add_argument("truth", type=Path)
    correcting.add_argument("--url", required=True)
    correcting.set_defaults(run=lambda args: correct(args.truth, args.url))
    return parser


if __name__ == "__main__":
    arguments = build_parser().parse_args()
    arguments.run(arguments)
