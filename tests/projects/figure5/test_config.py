"""The model that learns its mask unsupervised differs from ACNet in nothing else."""

from detectron2.config import instantiate
from omegaconf import OmegaConf

from acnet.config import load_config


def test_only_the_weight_of_the_attention_loss_differs():
    acnet = load_config("toy/tuned/table2/acnet")
    unsupervised = load_config("toy/figure5/mask_unsupervised")
    assert instantiate(unsupervised.model).backbone.loss_weight == 0
    assert instantiate(acnet.model).backbone.loss_weight == 0.2
    del unsupervised.model.backbone.loss_weight, acnet.model.backbone.loss_weight
    unsupervised.train.output_dir = acnet.train.output_dir
    assert OmegaConf.to_yaml(unsupervised, sort_keys=True) == OmegaConf.to_yaml(
        acnet, sort_keys=True
    )
