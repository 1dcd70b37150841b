"""Random images with random boxes, as a detector trains on."""

import torch
from detectron2.structures import Boxes, Instances

BOXES_PER_IMAGE = 13  # ACNE04's mean: 18,983 boxes on 1,457 photos


def random_batch(batch_size: int, image_hw: tuple[int, int], *, seed: int) -> list[dict]:
    """Returns images of noise with boxes of 8 to 72 pixels.

    Args:
        batch_size: images.
        image_hw: height and width in pixels, above 80.
        seed: the same gives the same.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = image_hw
    batch = []
    for _ in range(batch_size):
        start = torch.rand(BOXES_PER_IMAGE, 2, generator=generator)
        start *= torch.tensor([width, height]) - 80
        sides = 8 + 64 * torch.rand(BOXES_PER_IMAGE, 2, generator=generator)
        instances = Instances(image_hw, gt_boxes=Boxes(torch.cat([start, start + sides], dim=1)))
        instances.gt_classes = torch.zeros(BOXES_PER_IMAGE, dtype=torch.long)
        image = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)
        batch.append({"image": image, "instances": instances, "height": height, "width": width})
    return batch
