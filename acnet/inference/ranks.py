"""Which of several processes this one is, as torchrun says in the environment.

Nothing here connects to anything: processes that predict share a folder, and no more.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from acnet.errors import UserError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ranks:
    """This process among those that work on the same photos.

    Args:
        rank: From 0; the first writes what all have found.
        world_size: How many there are, on all machines.
        local_rank: Among those of this machine, from 0; chooses its GPU.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the tables and the page."""
        return self.rank == 0

    @property
    def has_others(self) -> bool:
        """Whether other processes work on the same photos."""
        return self.world_size > 1

    def own_first(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield all items, those first that fall to this process when they are dealt out.

        Args:
            items: The same, in the same order, in all processes.

        Yields:
            Items rank, rank + world_size, ...; then those of the next rank, and so on around.
        """
        for shift in range(self.world_size):
            yield from items[(self.rank + shift) % self.world_size :: self.world_size]


def ranks_from(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Read what torchrun sets.

    Args:
        environment: Of the process.

    Returns:
        One process alone where torchrun did not start this one.

    Raises:
        UserError: The variables contradict each other or are no numbers.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Ranks()
    texts = [environment.get(name, "0") for name in names]
    if all(text.isdecimal() for text in texts):
        rank, world_size, local_rank = map(int, texts)
        if rank < world_size:
            return Ranks(rank, world_size, local_rank)
    received = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True))
    raise UserError(
        "Several processes tell each other apart by RANK, from 0 to below WORLD_SIZE, which "
        f"torchrun sets. Received {received}. Start them by torchrun, or unset these variables."
    )
