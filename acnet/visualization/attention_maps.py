"""The mask attention's saliency, sigmoid of its logits, laid over the photo.

Reference: paper, III-C.1 (mask attention block).
"""

import cv2
import matplotlib
import numpy as np

from acnet.visualization.boxes import enlarge_small


def draw_saliency(
    photo_rgb: np.ndarray, saliency: np.ndarray, *, opacity: float = 0.6
) -> np.ndarray:
    """Lay a saliency map over the photo, the more opaque the more salient.

    Regions of saliency 0 show the photo itself, so that what the model ignores stays visible.

    Args:
        photo_rgb: (H, W, 3) uint8.
        saliency: (H, W) or any coarser grid over the same field of view, in [0, 1].
        opacity: Share of the colour where the saliency is 1, 0 to 1.

    Returns:
        (H, W, 3) uint8, an integer factor larger where the photo is small.
    """
    picture, _ = enlarge_small(photo_rgb)
    height, width = picture.shape[:2]
    full = cv2.resize(
        saliency.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    ).clip(0, 1)
    colors = matplotlib.colormaps["viridis"](full)[..., :3] * 255
    share = opacity * full[..., None]
    return (picture * (1 - share) + colors * share).round().astype(np.uint8)
