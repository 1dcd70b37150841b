"""When kernels are recorded; on a GPU tests/test_gpu.py compares what recordings compute."""

import copy

import pytest
import torch
from detectron2.config import instantiate

from acnet.config import load_config
from acnet.modeling import cuda_graphs


class Recording:
    """What is made instead of a graph: an object that knows its maps."""

    def __init__(self, maps, plain, module):
        self.shape = maps.shape


def test_a_shape_is_recorded_when_it_comes_for_the_second_time():
    recordings = cuda_graphs._Recordings(Recording)
    small, large = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 8, 8)
    met = [recordings.of(maps, None, None) for maps in (small, large, small, large, small)]
    assert [one and one.shape[-1] for one in met] == [None, None, 4, 8, 4]
    assert met[2] is met[4]
    with torch.inference_mode():
        assert recordings.of(small, None, None) is None
    assert copy.deepcopy(recordings).of(small, None, None) is None


def test_shapes_that_come_once_take_no_place():
    recordings = cuda_graphs._Recordings(Recording)
    for size in range(1, 2 * cuda_graphs.MOST_MET):
        assert recordings.of(torch.zeros(1, 3, size, 8), None, None) is None
    assert len(recordings._met) == cuda_graphs.MOST_MET
    tile = torch.zeros(1, 3, 4, 4)
    assert [recordings.of(tile, None, None) is None for _ in range(3)] == [True, False, False]


def test_ever_new_shapes_are_forgotten():
    recordings = cuda_graphs._Recordings(Recording)
    shapes = [torch.zeros(1, 3, size, 4) for size in range(1, cuda_graphs.MOST_SHAPES + 3)]
    met = [[recordings.of(maps, None, None) for maps in shapes] for _ in range(2)]
    assert [one is not None for one in met[1]] == [True] * cuda_graphs.MOST_SHAPES + [False] * 2


@pytest.mark.parametrize("config", ["toy/acnet_r18", "toy/table2/baseline"])
def test_elsewhere_a_model_computes_as_before(config):
    torch.manual_seed(0)
    model = instantiate(load_config(config).model).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.backbone(image)["p3"]
        cuda_graphs.replay_in_training(model)
        cuda_graphs.replay_in_prediction(model.backbone)
        replayed = copy.deepcopy(model)
        for _ in range(3):
            torch.testing.assert_close(replayed.backbone(image)["p3"], expected)
