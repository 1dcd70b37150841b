"""Table II (h) in small and in its tuned form: all parts. NOT IN PAPER.

python projects/ACNet/train_net.py --config-file toy/tuned/table2/acnet
"""

from ....common.tuned_row import dataloader, lr_multiplier, model, optimizer, train

train.output_dir = "output/toy/tuned/table2/acnet"
