"""What every run shares; each child sets its own length and batch."""

train = dict(
    output_dir="output",
    init_checkpoint="",
    # The length of a run: iterations if given, else epochs over the training set (see the log's
    # first lines for the arithmetic).
    max_iter=None,
    epochs=None,
    # The same seed gives the same losses on the same machine; -1 draws one.
    seed=42,
    device="auto",
    # enabled: False, True, or "auto" (where the hardware has the type natively).
    amp=dict(enabled=False, dtype="auto"),
    channels_last=False,
    # In how many parts a process's share of the batch goes through the model: less memory, the same
    # gradients but for BN, which sees a part at a time. docs/train.md
    accumulate=1,
    # Less memory for a second forward pass; the same gradients.
    activation_checkpointing=False,
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    sync_bn=True,
    checkpointer=dict(period=5000, max_to_keep=3),
    eval_period=5000,
    log_period=20,
    best_metric="bbox/AP50",
    fast_dev_run=False,
    overwrite=False,
)
