"""The bundled weights, fourth stage: longer, with generated photos among the others. NOT IN PAPER.

    acnet data toy toy_extra --photos 160 --size 640 480 800 --seed 77 --lesion-px 10 120
    acnet data import toy_extra datasets/toy_extra --format acne04
    python projects/ACNet/train_net.py --config-file demo/acnet_r18_longer \\
        train.init_checkpoint=output/demo/acnet_r18_scales/model_final.pth

The bundled weights began with a learning rate that was to fall over 7,000 steps. After 2,513 of
them it was made to fall over 4,500.
"""

from .acnet_r18_scales import dataloader, lr_multiplier, model, optimizer, photos, train

_names = ["acne_part_train", "toy_extra_trainval_0"]
dataloader.train.dataset.names = _names
dataloader.train.mapper.dataset.names = _names

optimizer.lr = 6e-4
train.max_iter = 4500  # of 0.65 s on one core: 49 minutes
train.eval_period = 4500
train.output_dir = "output/demo/acnet_r18_longer"
