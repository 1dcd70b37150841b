"""What several GPUs would do for a training step, on paper: docs/lab/scaling.md walks through it.

Nothing here is measured: every number that is not counted from the model is an assumption, and an
argument.
"""

import math
from dataclasses import dataclass

MEGA, GIGA = 1e6, 1e9


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one process computes in a step, and what it must tell the others.

    Args:
        gmacs_an_image: multiply-accumulates of an image, forward and backward, in billions.
        images: of a process in a step.
        gradient_bytes: of all trainable parameters, as they are sent.
        norms: BN layers that are synchronised; each waits for the others once in either pass.
    """

    gmacs_an_image: float
    images: int
    gradient_bytes: float
    norms: int = 0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Machines, and how they are connected.

    Args:
        gpus_a_node: in one machine.
        gmacs_a_second: that a GPU reaches on this model: its peak times a fraction.
        node_gbytes_a_second: between the GPUs of a machine, a direction, for each GPU.
        network_gbytes_a_second: between machines, a direction, for each machine.
        latency_seconds: of one message.
        bucket_bytes: gradients are sent in parts of this size as they become ready.
        images_a_second: that the input of one process gives: decoding and augmenting.
    """

    gpus_a_node: int = 8
    gmacs_a_second: float = 0.4 * 156_000  # NVIDIA A100: 312 dense bfloat16 TFLOPs
    node_gbytes_a_second: float = 200.0
    network_gbytes_a_second: float = 25.0
    latency_seconds: float = 10e-6
    bucket_bytes: float = 25 * MEGA
    images_a_second: float = 60.0


@dataclass(frozen=True)
class Step:
    """A step's time on several GPUs, and what it is made of, in seconds.

    Args:
        compute: of the forward and the backward pass.
        all_reduce: of all gradients, whether or not something else runs meanwhile.
        exposed: the part of it that nothing hides.
        norms: waiting for the statistics of the others' images.
        input: until the next batch is there.
    """

    compute: float
    all_reduce: float
    exposed: float
    norms: float
    input: float

    @property
    def seconds(self) -> float:
        """The step: reading runs beside everything else."""
        return max(self.compute + self.exposed + self.norms, self.input)

    @property
    def efficiency(self) -> float:
        """Images a second against as many GPUs that each worked alone, 0 to 1."""
        return max(self.compute, self.input) / self.seconds


def predict_step(work: Work, cluster: Cluster, gpus: int) -> Step:
    """Predict a step with a fixed number of images a GPU (weak scaling).

    Gradients go round a ring, `2 (n - 1) / n` times their size through each link, in `2 (n - 1)`
    messages a bucket; between machines each machine has one link. Backward takes two thirds of the
    step, and all but the last bucket is sent meanwhile. Statistics of BN are small: they climb a
    tree and come back, and nothing hides them.

    Args:
        work: of one process.
        cluster: the machines.
        gpus: how many, filling one machine before the next.

    Returns:
        The step.
    """
    compute = work.gmacs_an_image * work.images / cluster.gmacs_a_second
    reading = work.images / cluster.images_a_second
    if gpus == 1:
        return Step(compute, 0.0, 0.0, 0.0, reading)
    link = cluster.node_gbytes_a_second
    if gpus > cluster.gpus_a_node:
        link = min(link, cluster.network_gbytes_a_second)
    buckets = max(1, -(-work.gradient_bytes // cluster.bucket_bytes))
    transfer = 2 * (gpus - 1) / gpus * work.gradient_bytes / (link * GIGA)
    all_reduce = transfer + buckets * 2 * (gpus - 1) * cluster.latency_seconds
    hidden = min(2 / 3 * compute, all_reduce * (buckets - 1) / buckets)
    norms = 2 * work.norms * 2 * math.ceil(math.log2(gpus)) * cluster.latency_seconds
    return Step(compute, all_reduce, all_reduce - hidden, norms, reading)
