"""The same on a GPU as on a CPU: losses, gradients, Soft-NMS, prediction, export and resuming.

`pytest -m gpu` runs these where there is a GPU. In float32 the two differ by the order of sums, for
which convolutions must not round to TF32.
"""

import copy
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.modeling.backbone.resnet import BottleneckBlock
from detectron2.structures import Boxes, Instances
from torchvision.ops import roi_align as torchvision_roi_align

from acnet.config import load_config
from acnet.engine.train import build_optimizer, default_train
from acnet.inference import load
from acnet.inference.engines import Optimizations
from acnet.inference.optimize import optimize_for_inference
from acnet.layers import roi_align, soft_nms
from acnet.layers.roi_align import runs_triton
from acnet.modeling.cuda_graphs import replay_in_training
from acnet.modeling.resnet import fold_frozen_norms
from tests.export.models import picture, random_model, small_config

pytestmark = pytest.mark.gpu
GPU = "cuda"


@pytest.fixture(autouse=True)
def _exact():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def batch(sizes: list[tuple[int, int]]) -> list[dict]:
    """Return training images, the last of them without a lesion."""
    inputs = []
    for index, (height, width) in enumerate(sizes):
        truth = Instances((height, width))
        boxes = [[4.0, 6, 30, 40], [40, 40, 70, 64]] if index < len(sizes) - 1 else []
        truth.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
        truth.gt_classes = torch.zeros(len(boxes), dtype=torch.long)
        image = torch.from_numpy(picture(height, width, seed=index).transpose(2, 0, 1).copy())
        inputs.append({"image": image, "instances": truth, "height": height, "width": width})
    return inputs


def all_samples(model: torch.nn.Module) -> torch.nn.Module:
    """Let no generator choose the anchors and proposals that are trained on."""
    for part in (model.proposal_generator, model.roi_heads):
        part.batch_size_per_image, part.positive_fraction = 100_000, 1.0
    return model


@pytest.mark.usefixtures("event_storage")
@pytest.mark.parametrize("config", ["toy/acnet_r18", "toy/table2/baseline"])
def test_losses_and_gradients(config):
    torch.manual_seed(0)
    on_cpu = all_samples(instantiate(load_config(config).model)).train()
    on_gpu = copy.deepcopy(on_cpu).to(GPU)
    inputs = batch([(96, 96), (80, 96)])
    sides = []
    for model in (on_cpu, on_gpu):
        losses = model(inputs)
        sum(losses.values()).backward()
        sides.append({name: loss.item() for name, loss in losses.items()})
    assert sides[1] == pytest.approx(sides[0], rel=1e-3, abs=1e-5)
    gradients = [
        torch.stack([p.grad.norm().cpu() for p in model.parameters() if p.grad is not None])
        for model in (on_cpu, on_gpu)
    ]
    least = 0.01 * gradients[0].max().item()  # what is smaller is the difference of larger numbers
    torch.testing.assert_close(*gradients, rtol=2e-2, atol=least)


@pytest.mark.usefixtures("event_storage")
def test_losses_and_statistics_of_a_replayed_training():
    def train(*, replays: bool) -> tuple[list[float], dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        cfg = load_config("toy/acnet_r18")
        # A difference of rounding decides which boxes are sampled, and so much more than itself.
        model = all_samples(instantiate(cfg.model)).train().to(GPU)
        if replays:
            replay_in_training(model)
        optimizer = build_optimizer(cfg.optimizer, model, torch.device(GPU))
        totals = [step(model, optimizer, seed) for seed in range(4)]  # as it is; recorded; replayed
        return totals, dict(model.named_buffers())

    def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> float:
        torch.manual_seed(seed)
        with torch.autocast(GPU, dtype=torch.bfloat16):
            total = sum(model(batch([(96, 96), (96, 96)])).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return total.item()

    (plain, buffers), (replayed, others) = train(replays=False), train(replays=True)
    assert replayed == pytest.approx(plain, rel=0.05)
    for name, buffer in buffers.items():
        if name.endswith("num_batches_tracked"):
            assert others[name] == buffer, name


@pytest.mark.parametrize("stride", [1, 2])
def test_folded_norms_and_fused_layers_train_the_same(stride):
    torch.manual_seed(0)
    channels = 64 if stride == 1 else 32
    plain = BottleneckBlock(
        channels, 64, bottleneck_channels=32, stride=stride, norm="FrozenBN"
    ).to(GPU)
    for name, buffer in plain.named_buffers():
        buffer.uniform_(0.5, 1.5) if "mean" not in name else buffer.normal_()
    folded = copy.deepcopy(plain)
    assert fold_frozen_norms(folded) == 1
    image = torch.randn(2, channels, 24, 32, device=GPU)
    sides = []
    for block, dtype in ((plain, None), (folded, torch.bfloat16)):
        x = image.clone().requires_grad_()
        with torch.autocast(GPU, dtype=dtype, enabled=dtype is not None):
            block(x).float().square().mean().backward()
        sides.append([x.grad, *(weight.grad for weight in block.parameters())])
    for one, other in zip(*sides, strict=True):
        assert (other - one).norm() < 0.1 * one.norm()  # ReLU of another rounding: 0.04


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_roi_align_is_torchvisions(aligned, ratio, stride):
    torch.manual_seed(0)
    assert runs_triton(torch.device(GPU))
    ours = torch.randn(2, 300, 20, 30, device=GPU).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    corners = torch.rand(40, 2, device=GPU) * 200 - 20
    boxes = torch.cat([corners, corners + torch.rand(40, 2, device=GPU) * 90], dim=1)
    options = ((7, 6), 0.125, ratio, aligned)
    found = roi_align(ours, [boxes[:25], boxes[25:]], *options, bin_stride=stride)
    expected = torchvision_roi_align(theirs, [boxes[:25], boxes[25:]], *options)
    expected = expected[:, :, ::stride, ::stride]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn_like(expected)
    for pooled in (found, expected):
        (pooled * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", ["toy/acnet_r18", "acne04/acnet_r101", "toy/table2/baseline"])
def test_a_prediction_in_turns_and_replayed_is_the_plain_one(config):
    torch.manual_seed(0)
    model = instantiate(load_config(config).model).eval().to(GPU)
    inputs = [
        {"image": torch.from_numpy(picture(128, 128, seed=n).transpose(2, 0, 1).copy())}
        for n in range(4)
    ]
    off = Optimizations(cuda_graphs=False, take_turns=False)
    plain = optimize_for_inference(model, optimizations=off)
    replayed = optimize_for_inference(model)
    assert replayed.takes_turns == ("r101" in config)
    with torch.inference_mode():
        expected = [one["instances"] for one in plain(inputs)]
        for _ in range(3):  # as it is; recorded; replayed
            found = [one["instances"] for one in replayed(inputs)]
        for one, other in zip(found, expected, strict=True):
            assert len(one) == len(other)
            torch.testing.assert_close(one.scores, other.scores, rtol=1e-3, atol=1e-4)


def test_fused_layers_compute_the_same():
    torch.manual_seed(0)
    model = instantiate(load_config("toy/acnet_r18").model).eval().to(GPU)
    image = torch.randn(2, 3, 128, 160, device=GPU)
    sides = []
    for fuses in (False, True):
        chosen = Optimizations(cuda_graphs=False, fuse_activations=fuses)
        one = optimize_for_inference(model, dtype=torch.bfloat16, optimizations=chosen)
        with torch.inference_mode(), torch.autocast(GPU, dtype=torch.bfloat16):
            sides.append(one.backbone(image)["p3"].float())
    assert (sides[1] - sides[0]).norm() < 0.03 * sides[0].norm()


@pytest.mark.usefixtures("event_storage")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_in_low_precision_are_finite(dtype):
    model = instantiate(load_config("toy/acnet_r18").model).train().to(GPU)
    with torch.autocast(GPU, dtype=dtype):
        losses = model(batch([(96, 96), (96, 96)]))
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize(
    ("boxes", "classes", "picks"), [(0, 1, 100), (1300, 1, 100), (3900, 20, 1000)]
)
def test_soft_nms_picks_the_same_in_the_same_order(method, boxes, classes, picks):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(boxes, 2, generator=generator) * 500
    xyxy = torch.cat([corners, corners + 8 + torch.rand(boxes, 2, generator=generator) * 60], dim=1)
    scores = torch.rand(boxes, generator=generator)
    kinds = torch.randint(classes, (boxes,), generator=generator)
    options = {"method": method, "max_detections": picks}
    kept, decayed = soft_nms(xyxy, scores, kinds, **options)
    on_gpu = soft_nms(xyxy.to(GPU), scores.to(GPU), kinds.to(GPU), **options)
    assert [one.device.type for one in on_gpu] == [GPU, GPU]
    torch.testing.assert_close(on_gpu[0].cpu(), kept)
    torch.testing.assert_close(on_gpu[1].cpu(), decayed)


@pytest.mark.parametrize(("precision", "pixels"), [("float32", 0.05), ("bfloat16", 3)])
def test_prediction_of_whole_photos(repo_root: Path, precision, pixels):
    photo = str(repo_root / "datasets" / "sample_photos" / "generated_1.jpg")
    here = load(device="cpu", precision="float32")(photo).pred_boxes.tensor[:4]
    there = load(device=GPU, precision=precision)(photo).pred_boxes.tensor.cpu()
    distances = (there[None] - here[:, None]).abs().amax(dim=2).amin(dim=1)  # to the nearest box
    assert len(here) == 4
    assert (distances < pixels).all(), distances


def test_an_exported_file_agrees_with_the_model_on_a_gpu(small_run: Path, exported):
    photo = picture(90, 80)
    on_gpu = load(small_run, device=GPU, precision="float32")(photo)
    from_file = load(exported(), device="cpu")(photo)
    assert len(on_gpu) == len(from_file) > 0
    np.testing.assert_allclose(
        on_gpu.pred_boxes.tensor.cpu(), from_file.pred_boxes.tensor.cpu(), atol=0.05
    )


def test_a_model_that_was_saved_on_a_gpu_is_loaded_on_a_cpu(tmp_path):
    model = random_model(small_config()).to(GPU)
    torch.save({"model": model.state_dict()}, tmp_path / "model.pth")
    LazyConfig.save(small_config(), str(tmp_path / "config.yaml"))
    assert load(tmp_path / "model.pth", device="cpu").device.type == "cpu"


def test_a_resumed_training_equals_one_that_was_left_alone(tmp_path):
    def train(folder: Path) -> dict:
        cfg = load_config(Path(__file__).parent / "engine" / "tiny_config.py")
        cfg.train.device, cfg.train.output_dir = GPU, str(folder)
        default_train(cfg, Namespace(resume=True))
        return torch.load(folder / "model_final.pth", weights_only=True)["model"]

    whole = train(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    (tmp_path / "resumed" / "model_final.pth").unlink()
    (tmp_path / "resumed" / "last_checkpoint").write_text("model_0000008.pth")
    for name, value in train(tmp_path / "resumed").items():
        torch.testing.assert_close(value, whole[name])
