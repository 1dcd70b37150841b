import math

import pytest
import torch
import torch.nn.functional as F

from acnet.modeling import mask_attention_loss


def test_by_hand():
    # 16x16 pixels are 2x2 cells of 8; the box covers the first one. Logit 0 costs log 2 a cell, and
    # ln(3) costs -log(3/4) where it is right and -log(1/4) where it is wrong.
    logits = torch.tensor([[[[math.log(3.0), math.log(3.0)], [0.0, 0.0]]]])
    loss = mask_attention_loss(logits, [torch.tensor([[1.0, 1, 6, 6]])], [(16, 16)], 8)
    expected = (-math.log(3 / 4) - math.log(1 / 4) + 2 * math.log(2)) / 4
    assert loss.item() == pytest.approx(expected)


def test_padding_does_not_count():
    # The second image fills 9x17 pixels = 2x3 cells of the 4x4 in the padded batch.
    logits = torch.randn(2, 1, 4, 4)
    boxes = [torch.tensor([[0.0, 0, 9, 9]]), torch.zeros(0, 4)]
    loss = mask_attention_loss(logits, boxes, [(32, 32), (9, 17)], 8)
    target = torch.zeros(4, 4)
    target[:2, :2] = 1
    first = F.binary_cross_entropy_with_logits(logits[0, 0], target)
    second = F.softplus(logits[1, 0, :2, :3]).mean()
    torch.testing.assert_close(loss, (first + second) / 2)
    changed = logits.clone()
    changed[1, 0, 2:] += 100
    changed[1, 0, :, 3:] -= 100
    torch.testing.assert_close(mask_attention_loss(changed, boxes, [(32, 32), (9, 17)], 8), loss)


def test_images_weigh_the_same_whatever_their_size():
    logits = torch.zeros(2, 1, 4, 4)
    logits[1] = 5.0
    none = torch.zeros(0, 4)
    loss = mask_attention_loss(logits, [none, none], [(32, 32), (8, 8)], 8)
    easy, hard = math.log(2), math.log(1 + math.exp(5))
    assert loss.item() == pytest.approx((easy + hard) / 2)


def test_an_image_without_boxes_still_counts_and_trains():
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    mask_attention_loss(logits, [torch.zeros(0, 4)], [(16, 16)], 8).backward()
    torch.testing.assert_close(logits.grad, torch.full((1, 1, 2, 2), 0.5 / 4))


def test_bfloat16_logits_give_a_float32_loss():
    logits = torch.full((1, 1, 2, 2), -9.0, dtype=torch.bfloat16)
    loss = mask_attention_loss(logits, [torch.zeros(0, 4)], [(16, 16)], 8)
    assert loss.dtype == torch.float32
    # 1 + exp(-9) is 1 in bfloat16, whose loss would be 0.
    assert loss.item() == pytest.approx(math.log1p(math.exp(-9.0)), rel=1e-2)
