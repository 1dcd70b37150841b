"""What detectron2's users do by habit, each once: it works, or says in a sentence why not."""

import logging
import runpy
from argparse import Namespace
from pathlib import Path

import detectron2
import pytest
import torch
from detectron2.config import LazyCall as L
from detectron2.config import LazyConfig, get_cfg, instantiate
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.datasets import register_coco_instances
from detectron2.data.samplers import RepeatFactorTrainingSampler
from detectron2.engine import DefaultTrainer
from detectron2.layers import ShapeSpec
from detectron2.modeling import GeneralizedRCNN, build_model
from PIL import Image
from torch import nn

from acnet.checkpoint import write_start
from acnet.config import load_config
from acnet.engine.run_folder import check_run
from acnet.engine.train import default_train
from acnet.errors import UserError
from acnet.modeling import ACNetWithTTA, add_acnet_config, build_acnet_backbone
from tests.checkpoint.weights_files import write_msra_pickle
from tests.evaluation.coco_content import content_of, images_of, write

NAME = "habits"
ONCE = Namespace(resume=False, eval_only=False)
QUICK = [f"dataloader.{split}.dataset.names={NAME}" for split in ("train", "test")]
QUICK += [f"dataloader.{split}.num_workers=0" for split in ("train", "test")]
QUICK += ["dataloader.train.total_batch_size=2", "train.channels_last=false"]
QUICK += ["train.amp.enabled=false"]  # detectron2's AMPTrainer asserts CUDA


@pytest.fixture
def coco_set(tmp_path):
    """Return a function that registers two pictures as a user does, of some classes."""

    def register(num_classes: int = 1) -> None:
        for n in (1, 2):
            Image.new("RGB", (64, 64), (200, 150, 120 + n)).save(tmp_path / f"{n}.jpg")
        lesion = {"bbox": [8, 8, 16, 16], "area": 256, "iscrowd": 0}
        lesions = [
            {**lesion, "image_id": n, "category_id": c + 1}
            for n in (1, 2)
            for c in range(num_classes)
        ]
        content = content_of(lesions, class_names=[f"class{c}" for c in range(num_classes)])
        content["images"] = images_of(["1.jpg", "2.jpg"], side=64)
        path = write(tmp_path / "set.json", content)
        register_coco_instances(NAME, {}, str(path), str(tmp_path))

    yield register
    if NAME in DatasetCatalog:
        DatasetCatalog.remove(NAME)
        MetadataCatalog.remove(NAME)


def yaml_config(*overrides):
    cfg = get_cfg()
    add_acnet_config(cfg)
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", "cpu",
            "MODEL.WEIGHTS", "",
            "MODEL.RESNETS.DEPTH", 18,
            "MODEL.RESNETS.STEM_OUT_CHANNELS", 8,
            "MODEL.RESNETS.RES2_OUT_CHANNELS", 16,  # res5 of 64 to 128
            "MODEL.RESNETS.WIDTH_PER_GROUP", 4,
            "MODEL.ACNET.DCE.OUT_CHANNELS", 16,
            "MODEL.ACNET.DCE.REDUCTION", 4,
            "MODEL.ACNET.MAMA.WIDTH", 0.0625,
            "MODEL.ACNET.MAMA.MASK_CHANNELS", 8,
            "MODEL.ANCHOR_GENERATOR.SIZES", [[8, 16, 32]],
            "MODEL.RPN.CONV_DIMS", [16],
            "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16,
            "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 4,
            "DATASETS.TRAIN", (NAME,),
            "DATASETS.TEST", (),
            "DATALOADER.NUM_WORKERS", 0,
            "SOLVER.IMS_PER_BATCH", 2,
            "SOLVER.MAX_ITER", 1,
            "SOLVER.STEPS", (),
            *overrides,
        ]
    )  # fmt: skip
    return cfg


def mapped() -> list[dict]:
    mapper = DatasetMapper(is_train=True, augmentations=[], image_format="BGR")
    return [mapper(one) for one in get_detection_dataset_dicts(NAME)]


@pytest.fixture
def training_batch(coco_set):
    coco_set()
    return mapped()


def imagenet_file(model: nn.Module, folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """An MSRA pickle that fills lead, assistant and box head, from shapes of the model."""
    parts = {"": model.backbone.bottom_up.bottom_up.lead, "res5.": model.roi_heads.res5}
    weights = {
        prefix + name: torch.rand(value.shape)
        for prefix, part in parts.items()
        for name, value in part.state_dict().items()
    }
    return write_msra_pickle(folder / "R-18.pkl", weights, affine=False), weights


def test_classes_of_a_coco_set_are_counted_before_training(coco_set):
    coco_set(num_classes=2)
    with pytest.raises(UserError, match=r"num_classes=1 for 'habits' with 2: class0, class1"):
        check_run(load_config("toy/acnet_r18", QUICK), ONCE)
    # DefaultTrainer knows nothing of this check: there the model refuses the first batch.
    model = build_model(yaml_config()).train()
    with pytest.raises(ValueError, match=r"class 1, counted from 0.*NUM_CLASSES"):
        model(mapped())


def test_default_trainer_starts_from_one_imagenet_file(coco_set, tmp_path):
    coco_set()
    cfg = yaml_config("OUTPUT_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    file, weights = imagenet_file(build_model(cfg), tmp_path)

    cfg.MODEL.WEIGHTS = str(file)
    trainer = DefaultTrainer(cfg)
    with pytest.raises(ValueError, match="Cannot match one checkpoint key"):
        trainer.resume_or_load(resume=False)

    cfg.MODEL.WEIGHTS = write_start(build_model(cfg), file, tmp_path / "start.pth")  # the remedy
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=False)
    levels = trainer.model.backbone.bottom_up.bottom_up
    for resnet in (levels.lead, levels.assistant):
        torch.testing.assert_close(
            resnet.state_dict()["res4.1.conv2.weight"], weights["res4.1.conv2.weight"]
        )
    res5 = trainer.model.roi_heads.res5.state_dict()["1.conv2.weight"]
    torch.testing.assert_close(res5, weights["res5.1.conv2.weight"])
    trainer.train()


def test_detectron2s_lazy_loop_runs_our_configs(coco_set, tmp_path):
    path = Path(detectron2.__file__).parents[1] / "tools" / "lazyconfig_train_net.py"
    if not path.is_file():
        pytest.skip("this build of detectron2 has no tools/lazyconfig_train_net.py")
    do_train = runpy.run_path(str(path))["do_train"]
    coco_set()
    folder = tmp_path / "run"
    cfg = load_config("toy/acnet_r18", [*QUICK, "train.max_iter=2", f"train.output_dir={folder}"])
    folder.mkdir()
    do_train(ONCE, cfg)
    assert (folder / "model_final.pth").is_file()
    assert "AP50" in (folder / "metrics.json").read_text()


def test_detectron2s_loader_sampler_and_train_config_run_in_our_training(
    coco_set, tmp_path, caplog
):
    coco_set()
    cfg = load_config("toy/acnet_r18", QUICK)
    zoo = Path(detectron2.__file__).with_name("model_zoo")  # whose import needs pkg_resources
    cfg.train = LazyConfig.load(str(zoo / "configs" / "common" / "train.py")).train
    cfg.train.update(device="cpu", max_iter=2, eval_period=0, output_dir=str(tmp_path / "run"))
    cfg.dataloader.train = L(build_detection_train_loader)(
        dataset=L(get_detection_dataset_dicts)(names=NAME),
        mapper=L(DatasetMapper)(is_train=True, augmentations=[], image_format="BGR"),
        sampler=L(RepeatFactorTrainingSampler)(repeat_factors=torch.ones(2)),
        total_batch_size=2,
        num_workers=0,
    )
    (tmp_path / "run").mkdir()
    default_train(cfg, ONCE)
    assert (tmp_path / "run" / "model_final.pth").is_file()

    cfg.train.max_iter = 3
    default_train(cfg, Namespace(resume=True, eval_only=False))
    assert "begins anew" in caplog.text
    cfg.train.max_iter, cfg.train.epochs = None, 1
    with pytest.raises(UserError, match=r"Set train\.max_iter"):
        default_train(cfg, ONCE)


class _Wrapper(nn.Module):
    """Stands for FSDP: its own `forward` must run, and attributes are those of the module."""

    def __init__(self, module):
        super().__init__()
        self.module, self.calls = module, 0

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.module, name)

    def forward(self, *args):
        self.calls += 1
        return self.module(*args)


@pytest.mark.usefixtures("event_storage")
def test_hooks_and_wrappers_see_the_backbone_called_in_training(training_batch):
    model = build_model(yaml_config()).train()
    plain = model.backbone
    seen = []
    plain.register_forward_hook(lambda module, inputs, output: seen.append(output))
    plain.forward_with_losses(
        model.preprocess_image(training_batch), [one["instances"] for one in training_batch]
    )
    model.backbone = wrapped = _Wrapper(plain)
    losses = model(training_batch)
    assert wrapped.calls == 1
    assert [set(features) for features, _ in seen] == [{"p3"}, {"p3"}]
    assert losses["loss_attention"] == seen[1][1]["loss_attention"]

    model.backbone = torch.compile(plain, backend="eager")
    compiled = model(training_batch)
    torch.testing.assert_close(compiled["loss_attention"], losses["loss_attention"])
    assert len(seen) == 3


@pytest.mark.usefixtures("event_storage")
def test_a_mask_without_its_loss_is_told_once(training_batch, caplog):
    model = build_model(yaml_config("MODEL.META_ARCHITECTURE", "GeneralizedRCNN")).train()
    assert type(model) is GeneralizedRCNN
    for _ in range(2):
        assert "loss_attention" not in model(training_batch)
    told = [r for r in caplog.records if "without its loss" in r.message]
    assert [record.levelno for record in told] == [logging.WARNING]


def test_merging_of_augmented_views_keeps_soft_nms():
    cfg = yaml_config("TEST.AUG.MIN_SIZES", (64,))
    model = build_model(cfg).eval()
    boxes = torch.tensor([[10.0, 10, 50, 50], [12, 10, 52, 50], [10, 10, 50, 70]])
    scores, classes = list(torch.tensor([0.9, 0.8, 0.7])), list(torch.zeros(3, dtype=torch.long))
    merged = ACNetWithTTA(cfg, model)._merge_detections(boxes, scores, classes, (64, 64))
    # Clipped at 64, the third has IoU 40 * 40 / (40 * 54) with the best, and by linear decay stays
    # above the second, which is left with 0.8 * 4 / 42.
    assert len(merged) == 3
    torch.testing.assert_close(merged.scores[1], torch.tensor(0.7 * 14 / 54))
    picture = {"image": torch.zeros(3, 64, 64, dtype=torch.uint8), "height": 64, "width": 64}
    with torch.no_grad():
        found = ACNetWithTTA(cfg, model)([picture])
    assert found[0]["instances"].has("scores")


def test_equation_six_divides_by_the_positives_on_request():
    model = build_model(yaml_config("MODEL.ACNET.BOX_NORMALIZER", "positives"))
    for part in (model.proposal_generator, model.roi_heads.box_predictor):
        assert part.box_normalizer == "positives"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.proposal_generator.head.in_channels=100"], "channels of 'p3': 256. Received 100"),
        (["model.proposal_generator.head.num_anchors=5"], "anchors: 12. Received 5"),
        (["model.roi_heads.box_head.input_shape.channels=100"], "channels of 'p3': 256"),
        (["model.backbone.width=0"], "above 0. Received 0"),
        (["model.backbone.bottom_up.reduction=1000"], "= 288. Received reduction=1000"),
    ],
)
def test_impossible_widths_fail_when_the_model_is_built(overrides, message):
    cfg = load_config("toy/acnet_r18", overrides)
    with pytest.raises(ValueError, match=message):
        instantiate(cfg.model)


@pytest.mark.parametrize("refinement", [True, False])
@pytest.mark.usefixtures("event_storage")
def test_norms_may_be_absent(training_batch, refinement):
    norms = ["MODEL.ACNET.NORM", "", "MODEL.RESNETS.NORM", ""]
    model = build_model(yaml_config(*norms, "MODEL.ACNET.REFINEMENT", refinement)).train()
    losses = model(training_batch)
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    connection = model.backbone.bottom_up.bottom_up.connections["res4"]
    assert any(p.grad.abs().sum() > 0 for p in connection.parameters())


def test_a_plain_connection_that_could_never_open_is_refused():
    frozen = ["MODEL.ACNET.NORM", "FrozenBN", "MODEL.ACNET.REFINEMENT"]
    with pytest.raises(ValueError, match=r"norm='FrozenBN' with zero_init=True"):
        build_model(yaml_config(*frozen, False))
    build_model(yaml_config(*frozen, True))


def test_without_mama_the_heads_read_as_many_channels_as_it_would_give():
    narrow = ("MODEL.ACNET.MAMA.WIDTH", 0.5, "MODEL.ACNET.MAMA.ENABLED", False)
    backbone = build_acnet_backbone(yaml_config(*narrow), ShapeSpec(channels=3))
    assert backbone.output_shape()["p3"].channels == 512


def test_wrappers_hand_on_padding_constraints(monkeypatch):
    for attention in (True, False):
        cfg = yaml_config("MODEL.ACNET.MAMA.ENABLED", attention)
        backbone = build_acnet_backbone(cfg, ShapeSpec(channels=3))
        levels = backbone.bottom_up.bottom_up
        constraints = {"square_size": 256, "size_divisibility": 4}
        monkeypatch.setattr(type(levels), "padding_constraints", constraints, raising=False)
        assert backbone.padding_constraints == {"square_size": 256, "size_divisibility": 16}
        assert backbone.size_divisibility == 16
