"""SSD against torchvision's, and by hand."""

import copy

import pytest
import torch
from detectron2.config import instantiate
from detectron2.structures import Boxes, Instances
from torchvision.models.detection import ssd300_vgg16

from acnet import peers
from acnet.config import load_config


def picture(size, boxes, classes):
    instances = Instances((size, size))
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.tensor(classes, dtype=torch.long)
    return {"image": torch.randint(0, 256, (3, size, size)), "instances": instances}


@pytest.fixture(scope="module")
def twins():
    """torchvision's SSD300 of random weights, and ours with the same ones."""
    torch.manual_seed(0)
    theirs = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=21)
    for parameter in theirs.head.parameters():  # else every score is 0 or 1, and the order chance
        parameter.data *= 0.1
    cfg = load_config("voc07/ssd300_vgg16").model
    # What torchvision's weights were trained with.
    cfg.update(pixel_mean=[122.99925, 116.9991, 103.9992], pixel_std=[1.0, 1.0, 1.0])
    ours = instantiate(cfg)
    ours.load_state_dict(peers.weights_from_torchvision(theirs.state_dict(), 20))
    return theirs, ours


def test_ssd300_finds_what_torchvisions_finds(twins):
    theirs, ours = (model.eval() for model in twins)
    batch = [picture(300, [], []) for _ in range(2)]
    with torch.no_grad():
        expected = theirs([one["image"] / 255 for one in batch])
        found = [one["instances"] for one in ours(batch)]
    for one, other in zip(found, expected, strict=True):
        # detectron2 drops what clipping leaves empty.
        kept = Boxes(other["boxes"]).nonempty()
        other = {key: values[kept] for key, values in other.items()}
        assert len(one) > 100
        torch.testing.assert_close(one.pred_boxes.tensor, other["boxes"], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(one.scores, other["scores"], atol=1e-4, rtol=0)
        assert one.pred_classes.tolist() == (other["labels"] - 1).tolist()


def test_ssd300_has_torchvisions_losses(twins):
    theirs, ours = (model.train() for model in twins)
    batch = [
        picture(300, [[10, 20, 120, 200], [5, 5, 25, 30]], [3, 19]),
        picture(300, [], []),
        picture(300, [[0, 0, 300, 290]], [0]),
    ]
    targets = [
        {"boxes": one.gt_boxes.tensor, "labels": one.gt_classes + 1}
        for one in (entry["instances"] for entry in batch)
    ]
    expected = theirs([one["image"] / 255 for one in batch], copy.deepcopy(targets))
    losses = ours(batch)
    torch.testing.assert_close(losses["loss_cls"], expected["classification"], rtol=1e-4, atol=0)
    torch.testing.assert_close(
        losses["loss_box_reg"], expected["bbox_regression"], rtol=1e-4, atol=0
    )
