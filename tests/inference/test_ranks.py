"""Ranks from torchrun's variables, and who begins with which photos."""

import pytest

from acnet.errors import UserError
from acnet.inference.ranks import Ranks, ranks_from


def test_without_torchrun_there_is_one_process():
    assert ranks_from({}) == Ranks(0, 1, 0)
    assert Ranks().is_first
    assert not Ranks().has_others


def test_torchruns_variables_are_read():
    environment = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert ranks_from(environment) == Ranks(3, 4, 1)
    assert not ranks_from(environment).is_first
    assert ranks_from(environment).has_others


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "")])
def test_impossible_ranks_are_refused(rank, size):
    with pytest.raises(UserError, match=f"RANK={rank}, WORLD_SIZE={size}"):
        ranks_from({"RANK": rank, "WORLD_SIZE": size})


def test_own_photos_come_first_and_none_is_missing():
    # Dealt out to two: rank 0 has 0, 2, 4 and rank 1 has 1, 3; then each helps the other.
    assert list(Ranks(0, 2).own_first(range(5))) == [0, 2, 4, 1, 3]
    assert list(Ranks(1, 2).own_first(range(5))) == [1, 3, 0, 2, 4]
    for rank in range(7):
        assert sorted(Ranks(rank, 7).own_first(range(5))) == [0, 1, 2, 3, 4]


def test_no_photos_are_no_work():
    assert list(Ranks(1, 3).own_first([])) == []
