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
    """To 1e-4. Scores that differ by 1e-8 change places, so detections are paired by box and class.

    What clipping leaves empty is not compared: detectron2 drops it.
    """
    theirs, ours = (model.eval() for model in twins)
    batch = [picture(300, [], []) for _ in range(2)]
    with torch.no_grad():
        expected = theirs([one["image"] / 255 for one in batch])
        found = [one["instances"] for one in ours(batch)]
    for one, other in zip(found, expected, strict=True):
        mine = torch.cat([one.pred_boxes.tensor, 1000 * one.pred_classes[:, None]], dim=1)
        wanted = torch.cat([other["boxes"], 1000 * (other["labels"][:, None] - 1)], dim=1)
        kept = Boxes(other["boxes"]).nonempty()
        assert len(mine) == kept.sum() > 100
        exact = "donot_use_mm_for_euclid_dist"
        pairs = torch.cdist(wanted[kept], mine, compute_mode=exact).argmin(dim=1)
        torch.testing.assert_close(mine[pairs], wanted[kept], atol=1e-4, rtol=0)
        torch.testing.assert_close(one.scores[pairs], other["scores"][kept], atol=1e-4, rtol=0)


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


def test_every_object_gets_its_best_box():
    # Box 0 is object 0 exactly; box 1 overlaps it by half; object 1 has an IoU of 0.25 at most.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60], [20, 20, 40, 40]])
    objects = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    assert peers.match_boxes(boxes, objects, 0.5).tolist() == [0, 0, -1, 1]
    assert peers.match_boxes(boxes, objects, 0.6).tolist() == [0, -1, -1, 1]
    assert peers.match_boxes(boxes, objects[:0], 0.5).tolist() == [-1] * 4
    # Three objects want box 3: the one that fits best has it, the next takes the box around it,
    # and a third for which nothing is left that it overlaps has none.
    more = torch.cat([boxes, torch.tensor([[18.0, 18, 42, 42]])])
    rivals = torch.tensor([[20.0, 20, 30, 31], [20, 20, 30, 30], [20, 20, 31, 31]])
    assert peers.match_boxes(more, rivals, 0.5).tolist() == [-1, -1, -1, 2, 0]


def test_only_the_worst_background_boxes_count():
    """Of one class: losses log(1 + e^x) of a background box whose object logit is x.

    One object and a ratio of 1 leave the box of the largest loss, log(1 + e^2); the object's own
    loss is log(1 + e^-1), and the ignored box has none.
    """
    scores = torch.tensor([1.0, -3, 2, 5])
    logits = torch.stack([scores, torch.zeros(4)], dim=1)[None].requires_grad_()
    classes = torch.tensor([[0, 1, 1, -1]])
    deltas = torch.zeros(1, 4, 4, requires_grad=True)
    targets = torch.full((1, 4), 2.0)
    loss_cls, loss_box = peers.multi_box_loss(
        logits, deltas, classes, targets, negatives_per_positive=1
    )
    expected = torch.tensor([-1.0, 2.0]).exp().log1p().sum()
    torch.testing.assert_close(loss_cls, expected)
    assert loss_box == 4 * (2 - 0.5)  # smooth L1 beyond its bend
    nothing = peers.multi_box_loss(
        logits, deltas, torch.ones(1, 4, dtype=torch.long), targets[:0], negatives_per_positive=3
    )
    sum(nothing).backward()
    assert [one.item() for one in nothing] == [0, 0]
    assert logits.grad.eq(0).all()


def test_a_cell_shows_the_smallest_box_in_it():
    """Cells of 10 pixels; the small box begins at 9, so it reaches into the first column."""
    boxes = torch.tensor([[0.0, 0, 40, 30], [9, 0, 20, 10]])
    grid = peers.box_segmentation(
        boxes, torch.tensor([5, 7]), grid_hw=(3, 5), stride=10, background=20
    )
    assert grid.tolist() == [[7, 7, 5, 5, 20], [5, 5, 5, 5, 20], [5, 5, 5, 5, 20]]
    empty = peers.box_segmentation(
        boxes[:0], torch.tensor([], dtype=torch.long), grid_hw=(1, 2), stride=10, background=20
    )
    assert empty.tolist() == [[20, 20]]


@pytest.mark.parametrize("threshold", [0.01, 1.0])
def test_refinedet_leaves_out_what_arm_holds_for_background(threshold):
    """At a threshold of 1 nothing is left: ODM has no loss and finds nothing; ARM still learns."""
    cfg = load_config("toy/table4/refinedet_r18").model
    model = instantiate(cfg)
    model.objectness_threshold = threshold
    batch = [picture(64, [[8, 8, 40, 40]], [0])]
    losses = model.train()(batch)
    found = model.eval()(batch)[0]["instances"]
    assert losses["loss_arm_cls"] > 0
    assert (losses["loss_cls"] > 0) == (threshold < 1)
    assert (losses["loss_box_reg"] > 0) == (threshold < 1)
    assert (len(found) > 0) == (threshold < 1)
