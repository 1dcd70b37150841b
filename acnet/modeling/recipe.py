"""Estimates of a training on GPUs: hours from counted work, learning rates from the batch."""

from dataclasses import dataclass

__all__ = ["CARDS", "UTILISATION", "Card", "Length", "hours", "linear_learning_rate"]

# Share of the peak that convolutions of a detector reach as a whole. An assumption, not a
# measurement: no GPU was available.
UTILISATION = (0.3, 0.5)


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet.

    Args:
        name: of the card.
        memory_gb: in GB.
        tflops_float32: peak in TFLOP/s outside of tensor cores.
        tflops_half: peak of its tensor cores in float16 or bfloat16 with float32 sums, dense.
    """

    name: str
    memory_gb: int
    tflops_float32: float
    tflops_half: float

    def tflops(self, *, amp: bool) -> float:
        """Returns the peak that counts.

        Args:
            amp: convolutions in half precision.
        """
        return self.tflops_half if amp else self.tflops_float32


CARDS = {
    card.name: card
    for card in (
        Card("Titan V", 12, 14.9, 110.0),  # IV: "two Nvidia Titan V GPUs"
        Card("RTX 3090", 24, 35.6, 71.0),
        Card("RTX 4090", 24, 82.6, 165.2),
    )
}


@dataclass(frozen=True, kw_only=True)
class Length:
    """How much a training sees.

    Args:
        photos: of the fold's training split.
        tiles: of a photo.
        boxes_share: share of the tiles with boxes, all of which are taken.
        empty_share: share of the tiles without that is taken.
        epochs: over the tiles.
    """

    photos: int = 1165
    tiles: int = 94
    boxes_share: float = 0.35
    empty_share: float = 0.1
    epochs: int = 30

    @property
    def epoch_tiles(self) -> int:
        """Tiles of an epoch."""
        taken = self.boxes_share + (1 - self.boxes_share) * self.empty_share
        return round(self.photos * self.tiles * taken)

    def iterations(self, batch_size: int) -> int:
        """Returns the optimizer's steps.

        Args:
            batch_size: tiles of a step over all processes.
        """
        return -(-self.epochs * self.epoch_tiles // batch_size)


def hours(macs: int, length: Length, card: Card, *, amp: bool, cards: int = 1) -> tuple[float, ...]:
    """Estimates how long a training takes.

    Args:
        macs: multiply-accumulates of one image's forward and backward pass; each is two FLOPs.
        length: of the training.
        card: that it runs on.
        amp: convolutions in half precision.
        cards: that share the work.

    Returns:
        Hours of wall-clock time at the higher and at the lower utilisation.
    """
    flops = 2 * macs * length.epochs * length.epoch_tiles
    return tuple(
        flops / (card.tflops(amp=amp) * 1e12 * share * cards) / 3600
        for share in sorted(UTILISATION, reverse=True)
    )


def linear_learning_rate(batch_size: int, *, rate: float, of_batch: int) -> float:
    """Scales a learning rate to another batch.

    Args:
        batch_size: images of a step.
        rate: that is known to be right for `of_batch` images.
        of_batch: images of a step.

    Returns:
        The rate in proportion to the batch.

    Reference: Goyal et al., "Accurate, Large Minibatch SGD", 2017.
    """
    return rate * batch_size / of_batch
