import copy

import numpy as np
import pytest
import torch
from detectron2.config import LazyCall, get_cfg, instantiate
from detectron2.data.detection_utils import build_augmentation
from detectron2.data.transforms import AugInput, AugmentationList
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch import GeneralizedRCNN

from acnet.config import load_config
from acnet.modeling import ACNet, ChannelProjection, add_acnet_config, build_acnet_backbone

LOSSES = {"loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc"}


def _yaml_config(*overrides):
    """A whole ACNet on ResNet-18 with narrow parts, as a user of yaml would ask for it."""
    cfg = get_cfg()
    add_acnet_config(cfg)
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", "cpu",
            "MODEL.RESNETS.DEPTH", 18,
            "MODEL.RESNETS.STEM_OUT_CHANNELS", 8,
            "MODEL.RESNETS.NORM", "BN",
            "MODEL.BACKBONE.FREEZE_AT", 0,
            "MODEL.ACNET.DCE.OUT_CHANNELS", 16,
            "MODEL.ACNET.DCE.REDUCTION", 4,
            "MODEL.ACNET.MAMA.WIDTH", 0.0625,
            "MODEL.ACNET.MAMA.MASK_CHANNELS", 8,
            "MODEL.ANCHOR_GENERATOR.SIZES", [[8, 16, 32]],
            "MODEL.RPN.CONV_DIMS", [16],
            "MODEL.ROI_HEADS.NAME", "SoftNMSROIHeads",
            "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16,
            "MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHead",
            "MODEL.ROI_BOX_HEAD.NUM_FC", 1,
            "MODEL.ROI_BOX_HEAD.FC_DIM", 16,
            "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 4,
            *overrides,
        ]
    )  # fmt: skip
    return cfg


@pytest.fixture
def model():
    return build_model(_yaml_config())


@pytest.fixture
def batch(training_input):
    """Mixed sizes, odd sides, and an image without boxes."""
    return [training_input(64, 80, [[4, 6, 20, 25], [40, 30, 52, 41]]), training_input(50, 61, [])]


def _train_step(model, batch):
    model.train()
    losses = model(batch)
    sum(losses.values()).backward()
    return losses


def test_losses_of_equation_six_reach_every_parameter(
    model, batch, event_storage, assert_every_gradient
):
    # Layers that start at zero pass no gradient on before the first step.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        losses = _train_step(model, batch)
        assert set(losses) == LOSSES | {"loss_attention"}
        assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
        optimizer.step()
    assert_every_gradient(model)


def test_a_batch_without_any_box_trains(model, training_input, event_storage):
    losses = _train_step(model, [training_input(48, 48, []), training_input(32, 64, [])])
    assert losses["loss_box_reg"] == losses["loss_rpn_loc"] == 0
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("channels_last", [False, True])
def test_bfloat16_trains_and_agrees_with_float32(batch, event_storage, channels_last):
    cfg = _yaml_config("MODEL.ACNET.CHANNELS_LAST", channels_last)
    cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 10_000  # all, so that no chance is in the losses
    cfg.MODEL.ROI_HEADS.POSITIVE_FRACTION = 1.0
    model = build_model(cfg)
    torch.manual_seed(0)
    exact = _train_step(model, batch)
    torch.manual_seed(0)
    model.zero_grad()
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(batch)
    sum(losses.values()).backward()
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, exact[name], rtol=0.1, atol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_channels_last_changes_the_memory_and_not_the_result(model, batch):
    model.eval()
    last = build_model(_yaml_config("MODEL.ACNET.CHANNELS_LAST", True)).eval()
    last.load_state_dict(model.state_dict())
    images = last.preprocess_image(batch).tensor
    assert images.is_contiguous(memory_format=torch.channels_last)
    theirs = model.backbone(model.preprocess_image(batch).tensor)["p3"]
    torch.testing.assert_close(last.backbone(images)["p3"], theirs, rtol=1e-3, atol=1e-3)


def test_inference_is_inherited(model, batch):
    model.eval()
    with torch.no_grad():
        ours = model(batch)
        theirs = GeneralizedRCNN.forward(model, batch)
    assert isinstance(model, ACNet)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one["instances"].scores, other["instances"].scores)


@pytest.mark.parametrize("size", [(33, 47), (16, 16), (65, 130)])
def test_any_size_of_image(model, size):
    model.eval()
    image = torch.randint(0, 256, (3, *size))
    with torch.no_grad():
        found = model([{"image": image, "height": size[0], "width": size[1]}])[0]["instances"]
    assert found.image_size == size
    if len(found):
        assert found.pred_boxes.tensor[:, 0::2].max() <= size[1]
        assert found.pred_boxes.tensor[:, 1::2].max() <= size[0]


def test_training_without_ground_truth_is_an_error(model, batch):
    del batch[1]["instances"]
    with pytest.raises(ValueError, match="is_train=True"):
        model(batch)


@pytest.mark.parametrize(
    ("composite", "refinement", "enhancement", "attention"),
    [
        *((False, False, False, False), (False, True, True, True)),
        *((True, False, False, False), (True, True, False, True)),
    ],
)
def test_yaml_switches(batch, event_storage, composite, refinement, enhancement, attention):
    cfg = _yaml_config(
        "MODEL.ACNET.COMPOSITE", composite,
        "MODEL.ACNET.REFINEMENT", refinement,
        "MODEL.ACNET.DCE.ENABLED", enhancement,
        "MODEL.ACNET.MAMA.ENABLED", attention,
    )  # fmt: skip
    model = build_model(cfg)
    names = " ".join(name for name, _ in model.named_parameters())
    assert ("assistant" in names) == composite
    assert ("connections" in names) == (composite or refinement)
    assert ("phi" in names) == refinement
    assert ("enhance" in names) == enhancement
    assert ("mask_attention" in names) == attention
    losses = _train_step(model, batch)
    assert set(losses) == (LOSSES | {"loss_attention"} if attention else LOSSES)


TUNED_BACKBONE = (
    "MODEL.ACNET.DCE.INIT", "identity",
    "MODEL.ACNET.DCE.SHORTCUT", True,
    "MODEL.ACNET.MAMA.GATE", "centred",
    "MODEL.ACNET.MAMA.SHORTCUT", True,
    "MODEL.ACNET.MAMA.LOSS_WEIGHT", 0.2,
    "MODEL.ACNET.PROJECTION_NORM", "BN",
)  # fmt: skip


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("row", ["acne04/acnet_r101", "acne04/acnet_r101_tuned"])
def test_yaml_builds_the_backbone_of_the_config(row, attention):
    cfg = get_cfg()
    add_acnet_config(cfg)
    tuned = TUNED_BACKBONE if row.endswith("tuned") else ()
    cfg.merge_from_list(["MODEL.ACNET.MAMA.ENABLED", attention, *tuned])
    lazy = load_config(row).model.backbone
    if not attention:
        norm = "BN" if tuned else ""
        lazy = LazyCall(ChannelProjection)(bottom_up=lazy.bottom_up, norm=norm)
    with torch.device("meta"):
        ours, theirs = build_acnet_backbone(cfg, ShapeSpec(channels=3)), instantiate(lazy)
    assert str(ours) == str(theirs)
    for name in ("gate", "loss_weight"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)
    shapes = [{k: v.shape for k, v in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_yaml_has_the_paper_s_schedule_and_leaves_tiles_their_size():
    cfg = get_cfg()
    add_acnet_config(cfg)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR, cfg.SOLVER.GAMMA) == (4, 1e-4, 0.1)
    drops = [step / cfg.SOLVER.MAX_ITER * 30 for step in cfg.SOLVER.STEPS]
    assert drops == pytest.approx([10, 20])  # epochs
    augmentations = build_augmentation(cfg, is_train=True)
    image = np.zeros((300, 640, 3), np.uint8)
    assert AugmentationList(augmentations)(AugInput(image)).apply_image(image).shape == image.shape


def test_yaml_chooses_the_levels_of_table_three(batch, event_storage):
    levels = ["stem", "res2", "res3", "res4"]
    model = build_model(_yaml_config("MODEL.ACNET.DCE.IN_FEATURES", levels))
    assert list(model.backbone.bottom_up.enhance) == levels
    assert set(_train_step(model, batch)) == LOSSES | {"loss_attention"}


def test_res5_heads_train_and_find(batch, event_storage):
    cfg = _yaml_config(
        "MODEL.RESNETS.DEPTH", 50,
        "MODEL.RESNETS.RES2_OUT_CHANNELS", 32,
        "MODEL.RESNETS.WIDTH_PER_GROUP", 8,
        "MODEL.ACNET.MAMA.WIDTH", 0.125,
        "MODEL.ROI_HEADS.NAME", "SoftNMSRes5ROIHeads",
    )  # fmt: skip
    model = build_model(cfg)
    losses = _train_step(model, batch)
    assert set(losses) == LOSSES | {"loss_attention"}
    assert model.roi_heads.res5[0].conv1.weight.grad is not None
    model.eval()
    with torch.no_grad():
        assert len(model(copy.deepcopy(batch))) == 2


def test_halves_that_take_turns_find_what_the_batch_finds(model, training_input):
    model.eval()
    pictures = [training_input(64, 80, []) for _ in range(5)] + [training_input(48, 48, [])]
    with torch.no_grad():
        expected = [one["instances"].get_fields() for one in model(pictures)]
        model.takes_turns = True
        assert [part.indices(5) for part in model.halves(pictures[:5])] == [(0, 3, 1), (3, 5, 1)]
        assert len(model.halves(pictures[:3])) == 1
        found = [one["instances"].get_fields() for one in model(pictures)]
    assert len(expected) == len(found) == 6
    for one, other in zip(expected, found, strict=True):
        boxes = (of["pred_boxes"].tensor for of in (one, other))
        torch.testing.assert_close(*boxes, atol=0.01, rtol=0)
        torch.testing.assert_close(one["scores"], other["scores"], atol=1e-4, rtol=0)
        assert torch.equal(one["pred_classes"], other["pred_classes"])
