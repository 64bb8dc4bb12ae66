"""The stage that asks for quotas: whose they are, in which order, and what one is told."""

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from chat.bus.store import Store
from chat.config.sections import Limits
from chat.counters import FIELDS, ChatCount
from chat.ops.engine import EmbeddedEngine
from chat.policy.gate import Attempt, Refusal
from chat.policy.identity import USER, Identity
from chat.policy.quotas import Quotas
from chat.wire.schema import ErrorCode
from pool.scoreboard import Scoreboard
from shard.connections import Connections
from tests.chat.rig import a_store

USERS = Limits(user_messages_per_s=1, user_messages_burst=2)
ADDRESSES = Limits(address_messages_per_s=1, address_messages_burst=3)
BOTH = Limits(
    user_messages_per_s=1,
    user_messages_burst=2,
    address_messages_per_s=1,
    address_messages_burst=3,
)


class Desk:
    """Stages on one store; connection 7 is of the address "a7"."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.counts = Scoreboard(FIELDS, 1).row(0)
        self.gone: set[int] = set()

    def is_open(self, fd: int) -> bool:
        return fd not in self.gone

    def address(self, fd: int) -> str:
        assert self.is_open(fd), "its number may be anything's by now"
        return "2001:db8::7" if fd == 6 else f"a{fd}"

    def stage(self, limits: Limits) -> Quotas:
        connections = cast(Connections, self)
        return Quotas(self.store, limits, connections, lambda: 1_000.0, self.counts)


@pytest.fixture
async def desk(valkey: EmbeddedEngine, prefix: str) -> AsyncIterator[Desk]:
    store = a_store(valkey.url, prefix)
    yield Desk(store)
    await store.close()


def by(uid: str, fd: int = 7) -> Attempt:
    return Attempt("r", "x", Identity(uid, uid, USER), fd)


async def test_without_a_limit_nothing_is_asked_until_there_is_one(desk: Desk) -> None:
    limits = Limits()
    stage = desk.stage(limits)
    assert not stage.asks
    assert await stage([by("u")] * 3) == [None] * 3
    for key, value in (("user_messages_per_s", 1), ("user_messages_burst", 2)):
        msgspec.structs.force_setattr(limits, key, value)
    stage.apply()
    assert stage.asks
    verdicts = await stage([by("u")] * 3)
    assert verdicts[:2] == [None] * 2, "what was said before was not counted"
    assert isinstance(verdicts[2], Refusal)
    assert verdicts[2].message == "at most 1 messages a second of one user"
    msgspec.structs.force_setattr(limits, "user_messages_per_s", 0)
    stage.apply()
    assert not stage.asks
    assert await stage([by("u")] * 3) == [None] * 3


async def test_a_user_is_one_wherever_it_is(desk: Desk) -> None:
    verdicts = await desk.stage(USERS)([by("u", 7), by("u", 8), by("v"), by("u", 9)])
    assert verdicts[:3] == [None] * 3
    refusal = verdicts[3]
    assert isinstance(refusal, Refusal)
    assert refusal.code is ErrorCode.RATE_LIMITED
    assert refusal.message == "at most 1 messages a second of one user"
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 1
    assert desk.counts[ChatCount.REFUSED_RATE_LIMITED] == 1


async def test_an_address_is_one_whoever_it_is(desk: Desk) -> None:
    attempts = [*(by(f"u{i}", 7) for i in range(5)), by("u9", 8)]
    verdicts = await desk.stage(ADDRESSES)(attempts)
    assert [one is None for one in verdicts] == [True, True, True, False, False, True]
    assert verdicts[3] is not None
    assert verdicts[3].message == "at most 1 messages a second of one address"
    assert desk.counts[ChatCount.REFUSED_RATE_LIMITED] == 2


async def test_one_who_sends_too_much_takes_nothing_from_its_address(desk: Desk) -> None:
    verdicts = await desk.stage(BOTH)([*[by("u")] * 20, by("v"), by("w")])
    assert [one is None for one in verdicts] == [True, True, *[False] * 18, True, False]
    told = {one.message for one in verdicts[2:20] if one}
    assert told == {"at most 1 messages a second of one user"}
    assert verdicts[21] is not None
    assert verdicts[21].message == "at most 1 messages a second of one address"
    assert desk.counts[ChatCount.REFUSED_RATE_LIMITED] == 19


async def test_whose_it_is_is_known_before_anything_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = desk.stage(BOTH)
    asked: list[list[str]] = []
    for quota, _, _ in stage._quotas:
        take = quota.take

        async def taking(names: list[str], take: Any = take) -> list[float]:
            asked.append(list(names))
            desk.gone.add(7)  # it ends while Redis is asked
            found: list[float] = await take(names)
            return found

        monkeypatch.setattr(quota, "take", taking)
    assert await stage([by("u")]) == [None]
    assert await stage([by("u"), by("v", 6)]) == [None, None]
    assert asked == [["u"], ["a7"], ["u", "v"], ["", "2001:db8::"]]


async def test_all_are_answered_while_redis_is_away() -> None:
    store = a_store("unix:///nowhere/to/be.sock", "x")
    desk = Desk(store)
    for _ in range(20):
        assert await desk.stage(BOTH)([by("u")] * 5) == [None] * 5
    await store.close()
