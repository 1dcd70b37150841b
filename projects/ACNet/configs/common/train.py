"""What every run shares; each child sets its own length and batch."""

from acnet.engine.precision import resolve_device

train = dict(
    output_dir="output",
    init_checkpoint="",
    # The length of a run: iterations if given, else epochs over the training set (see the log's
    # first lines for the arithmetic).
    max_iter=None,
    epochs=None,
    # The same seed gives the same losses on the same machine; -1 draws one.
    seed=42,
    # A GPU where there is one, else the CPU: by its name, as detectron2's own loop needs it.
    device=str(resolve_device("auto")),
    # enabled: False, True, or "auto" (where the hardware has the type natively).
    amp=dict(enabled=False, dtype="auto"),
    channels_last=False,
    # In how many parts a process's share of the batch goes through the model: less memory, the same
    # gradients but for BN, which sees a part at a time. docs/train.md
    accumulate=1,
    # Less memory for a second forward pass; the same gradients.
    activation_checkpointing=False,
    # On a GPU, replay the backbone's kernels as CUDA graphs: for pictures of few sizes, as tiles.
    cuda_graphs=False,
    # detectron2's SOLVER.CLIP_GRADIENTS: clip_type "value" or "norm", parameter by parameter.
    clip_gradients=dict(enabled=False, clip_type="norm", clip_value=1.0, norm_type=2.0),
    # Factors on the learning rate by how a parameter's name begins, as {proposal_generator: 10}.
    lr_factors=dict(),
    # How many stages of each ResNet keep the weights of init_checkpoint, the stem being the first.
    freeze_at=0,
    # Evaluates, and leaves for prediction, a moving average of the weights. docs/train.md
    ema=dict(enabled=False, decay=0.9995),
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    sync_bn=True,
    checkpointer=dict(period=5000, max_to_keep=3),
    eval_period=5000,
    log_period=20,
    best_metric="bbox/AP50",
    fast_dev_run=False,
    overwrite=False,
)
