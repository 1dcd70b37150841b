"""The bundled weights, second stage: 707 photos of a public set. NOT IN PAPER.

    acnet data import yolo EXPORT datasets/acne --one-class acne
    acnet data check datasets/acne --fix datasets/acne_clean --reference-photos
    acnet data split datasets/acne_clean/annotations/train.json datasets/acne_part \\
        --image-root EXPORT --parts train=0.875 select=0.125 --seed 6 \\
        --group-regex '^(?:.*/)?(.+)_jpe?g\\.rf\\.'
    python projects/ACNet/train_net.py --config-file demo/acnet_r18 \\
        train.init_checkpoint=output/demo/acnet_r18_toy/model_final.pth

Crops of 320 pixels at half to a fifth more than a photo's size of 640x640: many photos for a step,
at the sizes at which whole photos are predicted. Choices are made on `acne_part_select`; the valid
and test photos are for the final number alone.
"""

from .acnet_r18_toy import dataloader, lr_multiplier, model, optimizer, train
from ..common.data.augmented import crops

dataloader.train.dataset.names = "acne_part_train"
dataloader.test.dataset.names = "acne_part_select"
dataloader.train.mapper.augmentations = crops(
    photo_px=640, crop_px=320, min_scale=0.5, max_scale=1.2
)

# Photos are seen at the size that they had here, unless their lesions are larger or smaller. The
# lesions' size is between their median in the training photos, 37 px, and in the crops, 31 px.
photos = dict(size_px=640, lesion_px=34.0)

train.max_iter = 8800  # of 0.40 s on one core: an hour
train.eval_period = 4400
train.output_dir = "output/demo/acnet_r18"
