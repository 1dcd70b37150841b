"""NMS with a fixed number of places, against torchvision's."""

import pytest
import torch
from torch import nn
from torch.export import Dim
from torchvision.ops import nms

from acnet.export.nms import onnx_nms, torch_nms


class Module(nn.Module):
    """Makes a program of a function."""

    def __init__(self, function, iou_threshold: float, max_picks: int):
        super().__init__()
        self.function = function
        self.rest = (iou_threshold, max_picks)

    def forward(self, boxes, valid):
        return self.function(boxes, valid, *self.rest)


def dense_boxes(num_images: int, num_boxes: int) -> torch.Tensor:
    corners = torch.rand(num_images, num_boxes, 2) * 40
    return torch.cat([corners, corners + 10 + torch.rand(num_images, num_boxes, 2) * 10], dim=2)


def expected(boxes, valid, iou_threshold, max_picks):
    """The picks of one image, with -1 behind them."""
    index = valid.nonzero()[:, 0]
    falling = -torch.arange(len(index), dtype=torch.float32)
    picks = index[nms(boxes[index], falling, iou_threshold)][:max_picks]
    return torch.cat([picks, picks.new_full((max_picks - len(picks),), -1)])


def test_by_hand():
    # Box 1 overlaps box 0 by 0.8 and goes; box 2 would go by box 1 (IoU 0.8), which is gone.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6.4], [20, 20, 30, 30]]])
    valid = torch.tensor([[True, True, True, False]])
    assert torch_nms(boxes, valid, 0.7, 3).tolist() == [[0, 2, -1]]


@pytest.mark.parametrize("max_picks", [5, 60])
def test_same_picks_as_torchvision(max_picks):
    boxes, valid = dense_boxes(3, 60), torch.rand(3, 60) > 0.2
    valid[2] = False  # an image without proposals
    found = torch_nms(boxes, valid, 0.5, max_picks)
    for image in range(3):
        assert torch.equal(found[image], expected(boxes[image], valid[image], 0.5, max_picks))
    assert (found[0] >= 0).sum() < 60


def test_the_program_takes_any_batch():
    batch = {0: Dim("batch", min=1, max=8)}
    example = (dense_boxes(2, 30), torch.ones(2, 30, dtype=torch.bool))
    module = Module(torch_nms, 0.5, 20)
    program = torch.export.export(module, example, dynamic_shapes=(batch, batch)).module()
    for num_images in (1, 3):
        boxes, valid = dense_boxes(num_images, 30), torch.rand(num_images, 30) > 0.2
        assert torch.equal(program(boxes, valid), torch_nms(boxes, valid, 0.5, 20))


def test_onnx_runtime_gives_the_same_picks(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [export]")
    pytest.importorskip("onnxscript", reason="needs the extra [export]")
    batch = {0: Dim("batch", min=1, max=8)}
    example = (dense_boxes(2, 60), torch.ones(2, 60, dtype=torch.bool))
    program = torch.export.export(Module(onnx_nms, 0.5, 20), example, dynamic_shapes=(batch, batch))
    path = tmp_path / "nms.onnx"
    torch.onnx.export(program, dynamo=True, opset_version=18, verbose=False).save(path)
    session = onnxruntime.InferenceSession(path)
    names = [one.name for one in session.get_inputs()]
    for num_images in (1, 3):
        boxes, valid = dense_boxes(num_images, 60), torch.rand(num_images, 60) > 0.2
        valid[-1, 5:] = False
        feed = dict(zip(names, (boxes.numpy(), valid.numpy()), strict=True))
        (found,) = session.run(None, feed)
        assert found.tolist() == torch_nms(boxes, valid, 0.5, 20).tolist()
