import copy

import pytest
import torch
from detectron2.layers import CNNBlockBase

from acnet.modeling import CompositeResNet, DynamicContextEnhancement, MaskAwareMultiAttention
from acnet.modeling.activation_checkpointing import checkpoint_activations


@pytest.fixture(params=["BN", "FrozenBN"])
def backbones(small_resnet, request):
    """The same backbone twice, the second checkpointed."""
    torch.manual_seed(0)
    levels = CompositeResNet(
        lead=small_resnet(request.param), assistant=small_resnet(request.param), zero_init=False
    )
    merged = DynamicContextEnhancement(
        bottom_up=levels, in_features=["res2", "res3", "res4"], out_channels=16
    )
    plain = MaskAwareMultiAttention(bottom_up=merged, width=0.125, mask_channels=8)
    checkpointed = copy.deepcopy(plain)
    # Two ResNets of a stem and three stages of two blocks; connections, fusions, inception.
    assert checkpoint_activations(checkpointed) == 2 * 7 + 3 + 3 + 1
    return plain, checkpointed


def _step(model, image, dtype=None):
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
        output = model(image)["p3"]
        output.float().square().mean().backward()
    return output.detach()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_changes_no_bit_of_outputs_gradients_and_statistics(backbones, dtype):
    image = torch.randn(2, 3, 64, 64)
    outputs = [_step(model, image, dtype) for model in backbones]
    torch.testing.assert_close(*outputs, rtol=0, atol=0)
    plain, checkpointed = backbones
    assert plain.state_dict().keys() == checkpointed.state_dict().keys()
    for name, value in plain.state_dict().items():  # running means, and the count of batches
        torch.testing.assert_close(checkpointed.state_dict()[name], value, rtol=0, atol=0)
    for one, other in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=0)


def _kept_bytes(model, image):
    """Bytes that autograd keeps between the passes."""
    kept = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(image)
    return sum(kept.values())


def test_keeps_less_than_half(backbones):
    image = torch.randn(2, 3, 64, 64)
    plain, checkpointed = (_kept_bytes(model, image) for model in backbones)
    assert checkpointed < plain / 2


def test_evaluation_is_untouched_and_copies_work(backbones):
    image = torch.randn(1, 3, 64, 64)
    plain, checkpointed = (model.eval() for model in backbones)
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(checkpointed)(image), plain(image))
    assert any(isinstance(module, CNNBlockBase) for module in checkpointed.modules())
