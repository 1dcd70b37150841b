"""Photos are chosen by the difference between two models, in both directions, and by chance."""

from acnet.evaluation.result import PhotoRow
from acnet.visualization.figure5.choose import changes, choose, gains


def rows(*errors: tuple[int, int]) -> list[PhotoRow]:
    """Return rows of (false, missed)."""
    return [
        PhotoRow(
            index=index,
            file_name=f"{index}.jpg",
            lesions=9,
            counted=9,
            counted_low=None,
            counted_high=None,
            matched=9 - missed,
            false=false,
            missed=missed,
            f1=0.5,
        )
        for index, (false, missed) in enumerate(errors)
    ]


# Errors of the first model, the second and the difference, photo by photo:
#   0: 4, 1, +3   1: 2, 2, 0   2: 0, 2, -2   3: 5, 2, +3   4: 1, 0, +1   5: 1, 4, -3   6: 0, 0, 0
FIRST = rows((1, 3), (2, 0), (0, 0), (5, 0), (0, 1), (1, 0), (0, 0))
SECOND = rows((0, 1), (0, 2), (2, 0), (1, 1), (0, 0), (0, 4), (0, 0))


def test_the_largest_differences_in_both_directions():
    assert gains(FIRST, SECOND).tolist() == [3, 0, -2, 3, 1, -3, 0]
    chosen = choose(FIRST, SECOND, each=1, seed=0)
    assert chosen.gains == (0,)  # of two photos with 3 the earlier
    assert chosen.losses == (5,)
    chosen = choose(FIRST, SECOND, each=3, seed=0)
    assert chosen.gains == (0, 3, 4)
    assert chosen.losses == (5, 2)  # there is no third; a tie is no loss
    assert chosen.random == (1, 6)


def test_changing_sides_changes_signs():
    chosen, other = choose(FIRST, SECOND, each=2, seed=0), choose(SECOND, FIRST, each=2, seed=0)
    assert (other.gains, other.losses) == (chosen.losses, chosen.gains)


def test_chance_takes_what_is_left_and_the_seed_decides():
    same = rows(*[(0, 1)] * 50)
    picks = {choose(same, same, each=2, seed=seed).random for seed in range(20)}
    assert len(picks) > 10
    assert choose(same, same, each=2, seed=3) == choose(same, same, each=2, seed=3)
    for seed in range(20):
        chosen = choose(FIRST, SECOND, each=2, seed=seed)
        shown = [*chosen.gains, *chosen.losses, *chosen.random]
        assert len(shown) == len(set(shown)) == 6


def test_no_photos():
    chosen = choose([], [], each=2, seed=0)
    assert (chosen.gains, chosen.losses, chosen.random) == ((), (), ())
    assert changes(gains([], [])) == {"fewer": 0, "more": 0, "equal": 0}


def test_changes_are_counted():
    assert changes(gains(FIRST, SECOND)) == {"fewer": 3, "more": 2, "equal": 2}
