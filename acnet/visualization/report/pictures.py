"""Photos as data URIs: pixels alone, no larger than a page needs."""

import base64
from pathlib import Path

import cv2

from acnet.data.images import read_bgr
from acnet.errors import UserError

LONGEST_PX = 1000
JPEG_QUALITY = 82


def photo_data_uri(photos_root: Path, file_name: str, image_hw: tuple[int, int]) -> str:
    """Read a photo and encode it anew, so that nothing of the file but its pixels is kept.

    Args:
        photos_root: Folder of the photos.
        file_name: As the ground truth names it, below that folder.
        image_hw: Its height and width by the ground truth.

    Returns:
        A JPEG as `data:` URI, its longer side at most 1000 px.

    Raises:
        UserError: There is no such photo in the folder, it is no picture, or its size is another.
    """
    path = _below(photos_root, file_name)
    photo_bgr = read_bgr(path)
    if photo_bgr.shape[:2] != tuple(image_hw):
        raise UserError(
            "Boxes are drawn on the photo that they were annotated in, so its size must be that of "
            f"the ground truth, {image_hw[1]} x {image_hw[0]} px. Received {path.name} of "
            f"{photo_bgr.shape[1]} x {photo_bgr.shape[0]} px; give the folder of the photos that "
            "the ground truth was made for."
        )
    shrink = LONGEST_PX / max(image_hw)
    if shrink < 1:
        size_wh = tuple(max(1, round(side * shrink)) for side in reversed(image_hw))
        photo_bgr = cv2.resize(photo_bgr, size_wh, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", photo_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")


def _below(photos_root: Path, file_name: str) -> Path:
    """Return the photo's path; a name cannot lead out of the folder."""
    path = (photos_root / file_name).resolve()
    if not path.is_relative_to(photos_root.resolve()):
        raise UserError(
            "A photo is shown only from the folder that was given, lest a file name lead "
            f"elsewhere. Received {file_name!r}, which is not below {photos_root}; mend "
            "the name in the ground truth, or leave the photos out."
        )
    if not path.is_file():
        raise UserError(
            f"Photos to be shown must be in the folder that was given, {photos_root}. Received "
            f"{file_name!r}, which is not there; give the folder that the ground truth's file "
            "names start from, or leave the photos out."
        )
    return path
