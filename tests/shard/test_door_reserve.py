"""The descriptor a door keeps in reserve: whoever comes without another one is told so."""

import errno
from collections.abc import Iterator

import pytest

from shard.counters import Count
from shard.door import FULL
from tests.shard.descriptors import descriptors_exhausted
from tests.shard.test_door import Porch, heard
from tests.shard.wire import REQUEST


@pytest.fixture
def porch() -> Iterator[Porch]:
    made = Porch()
    yield made
    made.close()


class TestTheReserve:
    def test_it_is_lent_to_all_who_wait_and_kept(self, porch: Porch) -> None:
        clients = [porch.knock() for _ in range(5)]
        for client in clients:
            client.sendall(REQUEST)
        with descriptors_exhausted():
            _, trouble = porch.door.arrivals(0, 64)
            assert trouble is not None
            assert porch.door.turn_away_waiting(trouble)
            assert [heard(client) for client in clients] == [FULL.response] * 5
        assert porch.counts[Count.REFUSED_FULL] == 5
        porch.enter()

    def test_other_trouble_is_none_of_its_business(self, porch: Porch) -> None:
        porch.knock()
        assert not porch.door.turn_away_waiting(OSError(errno.ENOMEM, "no memory"))
        assert len(porch.arrivals()[0]) == 1

    def test_one_that_was_lost_is_kept_again_as_soon_as_there_is_one(self, porch: Porch) -> None:
        porch.door.shut()
        porch.knock()
        with descriptors_exhausted():
            assert not porch.door.turn_away_waiting(OSError(errno.EMFILE, "none left"))
        porch.arrivals()
        porch.knock()
        with descriptors_exhausted():
            _, trouble = porch.door.arrivals(0, 64)
            assert trouble is not None
            assert porch.door.turn_away_waiting(trouble)
