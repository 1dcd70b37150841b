"""One ImageNet file fills lead, assistant and box head, whatever its format."""

import logging
import pickle

import numpy as np
import pytest
import torch
import torchvision
from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling.backbone.resnet import BasicBlock, BottleneckBlock
from safetensors.torch import save_file
from torch import nn

from acnet.errors import WeightsMismatchError
from tests.checkpoint.weights_files import (
    TORCHVISION_INPUT,
    Detector,
    assert_all_filled,
    load,
    make_resnet,
    random_weights,
    torchvision_state,
    write_msra_pickle,
)


def torchvision_detector(block=BottleneckBlock, **kwargs) -> Detector:
    settings = {} if block is BasicBlock else {"stride_in_1x1": False}
    return Detector(block, input_settings=TORCHVISION_INPUT, **settings, **kwargs)


def test_msra_pickle_with_affine_norms(tmp_path):
    """Caffe2 folds mean and variance into `s` and `b`: the norm must compute exactly s x + b.

    FrozenBatchNorm2d computes (x - mean) / sqrt(var + eps) s + b, so mean = 0 and var = 1 - eps.
    """
    weights, model = random_weights(), Detector()
    path = write_msra_pickle(tmp_path / "R-101.pkl", weights, affine=True)
    for norm in (module for module in model.modules() if isinstance(module, FrozenBatchNorm2d)):
        norm.running_mean.fill_(5.0)  # as an earlier load might have left it
        norm.running_var.fill_(5.0)
    load(model, path)
    gain = weights["stem.conv1.norm.weight"].view(1, -1, 1, 1)
    bias = weights["stem.conv1.norm.bias"].view(1, -1, 1, 1)
    features = torch.randn(2, 4, 3, 3)
    for resnet in (model.lead, model.assistant):
        torch.testing.assert_close(resnet.stem.conv1.norm(features), features * gain + bias)
    head = model.roi_heads.res5[0].conv3
    torch.testing.assert_close(head.weight, weights["res5.0.conv3.weight"], rtol=0, atol=0)
    torch.testing.assert_close(head.norm.running_mean, torch.zeros_like(head.norm.running_mean))


@pytest.mark.parametrize("affine", [False, True])
def test_the_bias_of_the_stem_is_folded_into_its_norm(tmp_path, affine):
    """MSRA's ResNet-50 has a `conv1_b`: norm(conv(x) + b), while detectron2's stem adds no b."""
    weights, model = random_weights(), Detector()
    path = write_msra_pickle(tmp_path / "R-50.pkl", weights, affine=affine)
    content = pickle.loads(path.read_bytes())
    content["conv1_b"] = np.array([1.0, -2.0, 3.0, 0.5], dtype=np.float32)
    path.write_bytes(pickle.dumps(content))
    report = load(model, path)

    image, norm = torch.randn(1, 3, 8, 8), FrozenBatchNorm2d(4)
    fields = ("weight", "bias", "running_mean", "running_var")
    state = {field: weights[f"stem.conv1.norm.{field}"] for field in fields}
    if affine:
        state |= {"running_mean": torch.zeros(4), "running_var": torch.ones(4) - norm.eps}
    norm.load_state_dict(state)
    bias = torch.from_numpy(content["conv1_b"])
    conv = nn.functional.conv2d(image, weights["stem.conv1.weight"], bias, stride=2, padding=3)
    torch.testing.assert_close(model.lead.stem.conv1(image), norm(conv), rtol=1e-4, atol=1e-4)
    assert "folded" in report.table()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("block", "norm"),
    [(BasicBlock, "FrozenBN"), (BottleneckBlock, "FrozenBN"), (BottleneckBlock, "BN")],
)
def test_torchvision_file(tmp_path, block, norm, suffix):
    weights, model = random_weights(block), torchvision_detector(block, norm=norm)
    path = tmp_path / f"resnet{suffix}"
    save = torch.save if suffix == ".pth" else save_file
    save(torchvision_state(weights), path)
    load(model, path)
    assert_all_filled(model, weights)


def test_file_of_detectron2s_torchvision_converter(tmp_path):
    """tools/convert-torchvision-to-d2.py puts `stem.` before fc, and writes its author."""
    weights, model = random_weights(), torchvision_detector()
    arrays = {name: value.numpy() for name, value in weights.items()}
    arrays["stem.fc.weight"] = np.zeros((10, 4), dtype=np.float32)
    arrays["stem.conv1.norm.num_batches_tracked"] = np.array(3)
    content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    path = tmp_path / "r50.pkl"
    path.write_bytes(pickle.dumps(content))
    assert load(model, path).unused == ("*.num_batches_tracked", "stem.fc.weight")
    assert_all_filled(model, weights)


@pytest.mark.parametrize("is_bottleneck", [False, True])
def test_loaded_network_computes_what_torchvisions_does(tmp_path, is_bottleneck):
    """Names, strides and norms together: the same features from the same image."""
    blocks = torchvision.models.resnet
    theirs = blocks.Bottleneck if is_bottleneck else blocks.BasicBlock
    peer = torchvision.models.ResNet(theirs, [1, 2, 1, 1])
    for norm in (module for module in peer.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    peer.fc, peer.avgpool = nn.Identity(), nn.Identity()
    block = BottleneckBlock if is_bottleneck else BasicBlock
    model = make_resnet(block, last="res5", width=64, stride_in_1x1=False).eval()
    torch.save(peer.state_dict(), tmp_path / "peer.pth")
    load(model, tmp_path / "peer.pth")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = peer.eval()(image).view(1, -1, 2, 2)
        atol = 1e-5 * expected.abs().max().item()  # these norms let activations grow
        torch.testing.assert_close(model(image)["res5"], expected, rtol=1e-3, atol=atol)


def test_report_says_what_went_where(tmp_path, caplog):
    weights, model = random_weights(), Detector()
    path = write_msra_pickle(tmp_path / "R-101.pkl", weights, affine=False)
    with caplog.at_level(logging.INFO):
        report = load(model, path)
    assert_all_filled(model, weights)
    up = "backbone.bottom_up"
    assert [(part.place, part.source) for part in report.loaded] == [
        (f"{up}.lead.stem = {up}.assistant.stem", "stem"),
        *((f"{up}.lead.{stage}", stage) for stage in ("res2", "res3", "res4")),
        *((f"{up}.assistant.{stage}", stage) for stage in ("res2", "res3", "res4")),
        ("roi_heads.res5", "res5"),
    ]
    # A narrow stem has 7 * 7 * 3 * 4 weights and 4 norm values for each of 4 channels: 588 + 16.
    assert (report.loaded[0].tensors, report.loaded[0].values) == (5, 604)
    random = {part.group: len(part.names) for part in report.random}
    assert random == {"FRM": 2, "roi_heads": 4}
    assert report.unused == ("fc1000_b", "fc1000_w")
    assert "roi_heads.res5" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_stems_of_their_own_are_filled_and_reported_both(tmp_path):
    weights, model = random_weights(), Detector(share_stem=False)
    path = write_msra_pickle(tmp_path / "R-101.pkl", weights, affine=False)
    report = load(model, path)
    assert_all_filled(model, weights)
    assert [part.source for part in report.loaded].count("stem") == 2
    report = load(make_resnet(), path)  # up to res4, no box head
    assert report.unused == ("fc1000_b", "fc1000_w", "res5.*")


DEEPER = {"blocks": (1, 2, 2, 1)}


@pytest.mark.parametrize(
    ("model", "in_file", "affine", "message"),
    [
        ({}, {"width": 8}, False, r"lead\.stem\.conv1\.weight is \(4, 3, 7, 7\) but stem\.conv1\."
         r"weight in the file \(8, 3, 7, 7\)"),
        ({}, DEEPER, False, r"res4\.1\.conv1\.weight of the file has no place in .*lead\.res4"),
        (DEEPER, {}, False, r"lead\.res4\.1\.conv1\.weight \(16, 64, 1, 1\) has no res4\.1\."),
        ({"norm": "BN"}, {}, True, r"has no stem\.conv1\.norm\.running_mean in.* norm=FrozenBN"),
        (None, {}, False, "no detectron2 ResNet"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_changes_nothing(
    tmp_path, model, in_file, affine, message
):
    model = nn.Linear(2, 2) if model is None else Detector(**model)
    path = write_msra_pickle(tmp_path / "R-101.pkl", random_weights(**in_file), affine=affine)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsMismatchError, match=rf"{path} .*{message}"):
        load(model, path)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
