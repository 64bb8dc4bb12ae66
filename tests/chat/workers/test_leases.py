"""Who has which units: shares, and how they change hands."""

import random
from collections.abc import AsyncIterator

import pytest

from chat.bus.connect import StoreError
from chat.bus.groups import Groups
from chat.bus.store import Store
from chat.ops.engine import EmbeddedEngine
from chat.workers.leases import Leases
from tests.chat.rig import a_store

UNITS = 10


@pytest.fixture
async def store(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Store]:
    store = a_store(valkey.url, prefix, partitions=UNITS)
    yield store
    await store.close()


class Desk:
    """A worker's leases, with a clock of its own."""

    def __init__(self, store: Store, worker: str, lease_s: float = 60.0) -> None:
        self.now = 0.0
        groups = Groups(store, "g", worker)
        self.leases = Leases(
            *(groups, groups.rooms_units()),
            by=f"{worker}'s file",
            lease_s=lease_s,
            clock=lambda: self.now,
            chance=random.Random(1),
        )

    async def turn(self) -> int:
        """Renew and balance; how many units are new."""
        return len(await self.leases.renew()) + len(await self.leases.balance())

    @property
    def held(self) -> set[str]:
        return {unit.name for unit in self.leases.held}


ALL = {str(i) for i in range(UNITS)}


async def test_one_alone_has_all(store: Store) -> None:
    a = Desk(store, "a")
    assert await a.turn() == UNITS
    assert a.held == ALL
    assert await a.turn() == 0


async def test_they_share_evenly_and_few_move(store: Store) -> None:
    a, b, c = (Desk(store, name) for name in "abc")
    await a.turn()
    assert await b.turn() == 0
    before = a.held
    await a.turn()
    assert await b.turn() == 5
    assert a.held < before
    assert a.held | b.held == ALL
    assert not a.held & b.held
    for one in (c, a, b, c, a, b, c):
        await one.turn()
    assert sorted(len(one.held) for one in (a, b, c)) == [2, 4, 4]
    assert a.held | b.held | c.held == ALL


async def test_who_ends_leaves_all_to_the_others(store: Store) -> None:
    a, b = Desk(store, "a"), Desk(store, "b")
    for one in (a, b, a, b):
        await one.turn()
    await a.leases.end()
    assert await b.turn() == 5
    assert b.held == ALL


async def test_who_dies_is_followed_when_its_leases_are_over(store: Store) -> None:
    a, b = Desk(store, "a", 0.05), Desk(store, "b")
    await a.turn()
    while b.held != ALL:
        await b.turn()
    a.now = 0.06
    assert a.held == set()
    assert await a.turn() == 0


async def test_a_lease_holds_only_as_long_as_it_was_asked_for(store: Store) -> None:
    a = Desk(store, "a", 60.0)
    await a.turn()
    a.now = 59.9
    assert a.held == ALL
    a.now = 60.0
    assert a.held == set()
    await a.leases.renew()
    assert a.held == ALL


async def test_what_was_lost_and_had_again_is_new(store: Store, valkey: EmbeddedEngine) -> None:
    a = Desk(store, "a")
    await a.turn()
    other = Groups(store, "g", "b")
    await Groups(store, "g", "a").lease(other.rooms_units(), 0)
    assert await a.turn() == UNITS


async def test_by_what_the_last_one_worked_is_told(store: Store) -> None:
    a, b = Desk(store, "a"), Desk(store, "b")
    await a.turn()
    await a.leases.end()
    await b.leases.renew()
    assert {before for _, before in await b.leases.balance()} == {"a's file"}


async def test_redis_away_is_said(prefix: str) -> None:
    store = a_store("unix:///nowhere/s.sock", prefix)
    a = Desk(store, "a")
    with pytest.raises(StoreError):
        await a.leases.renew()
    with pytest.raises(StoreError):
        await a.leases.balance()
    await store.close()
